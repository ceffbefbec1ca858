import Data

/// Where a stage's sequences come from. Batches must be functions of the step and the sequence
/// indices alone: that is what lets a run go on from any step.
public protocol BatchSource {
  /// Names of the domains that ``Data/Batch/domains`` counts.
  var domains: [String] { get }
  /// Sequences `sequences` of the batch of `step`, both counted from 0.
  func batch(step: Int, sequences: Range<Int>) throws -> Batch
}

extension TrainingSampler: BatchSource {
  public var domains: [String] { streams.map(\.domain) }
}
