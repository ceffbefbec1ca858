import Data

/// Where a stage's sequences come from. Batches must be functions of the step and the sequence
/// indices alone: that is what lets a run go on from any step.
public protocol BatchSource {
  /// Names of the domains that ``Data/Batch/domains`` counts.
  var domains: [String] { get }
  /// Sequences `sequences` of the batch of `step`, both counted from 0.
  func batch(step: Int, sequences: Range<Int>) throws -> Batch
}

/// A source that can deal out its domains in other shares from some step on.
public protocol ReweightableBatchSource: BatchSource {
  /// The shares that are in force; together with the step all that its batches depend on.
  var shares: MixtureShares { get }
  /// This source with shares that it had, or will have.
  func dealing(_ shares: MixtureShares) -> Self
  /// This source with other shares from `step` on, positive ones in any unit.
  func reweighted(_ weights: [Double], fromStep step: Int) -> Self
}

extension TrainingSampler: ReweightableBatchSource {
  public var domains: [String] { streams.map(\.domain) }
}
