/// Draws the batches of a training run from several domains.
///
/// Sample g of a run (counted over all steps) is a function of the seed, the shares of the domains and
/// g alone, so a run goes on from any step without other state, and workers can draw disjoint parts of
/// a batch.
public struct TrainingSampler: Sendable {
  /// How sequences are cut from a stream.
  public enum Mode: String, CaseIterable, Sendable {
    /// At random offsets into the stream, record boundaries ignored: one document per sequence.
    case windows
    /// Whole records packed together, each attending to itself only; long ones are cut.
    case documents
  }

  /// How sequences are cut.
  public let mode: Mode
  /// Tokens per sequence.
  public let sequenceLength: Int
  /// Sequences per step.
  public let batchSize: Int
  /// The domains, in the order they were given.
  public let streams: [TokenStream]
  private let generator: CounterGenerator
  private var mixture: Mixture
  private let plans: [PackingPlan]
  private let padding: Int32

  /// - Parameters:
  ///   - streams: the domains with their shares of the samples, in any unit.
  ///   - padding: the token that fills what packed documents leave free; it never counts.
  public init(
    _ streams: [(stream: TokenStream, weight: Double)], mode: Mode, sequenceLength: Int,
    batchSize: Int, seed: UInt64, padding: Int32 = 0
  ) throws(SamplerError) {
    guard sequenceLength > 0, batchSize > 0 else {
      throw .emptyBatch(sequenceLength: sequenceLength, batchSize: batchSize)
    }
    guard (1...Mixture.blockSize).contains(streams.count) else {
      throw .streamCount(streams.count)
    }
    for (stream, weight) in streams {
      guard weight > 0, weight.isFinite else { throw .weight(weight, domain: stream.domain) }
      let needed = mode == .windows ? sequenceLength + 1 : 2
      guard stream.ids.count >= needed else {
        throw .tooShort(domain: stream.domain, tokens: stream.ids.count, needed: needed)
      }
      guard stream.lossMask.contains(1) else { throw .nothingToLearn(domain: stream.domain) }
    }
    let generator = CounterGenerator(seed: seed)
    self.mode = mode
    self.sequenceLength = sequenceLength
    self.batchSize = batchSize
    self.streams = streams.map(\.stream)
    self.padding = padding
    self.generator = generator
    mixture = Mixture(MixtureShares(weights: streams.map(\.weight)), generator: generator)
    plans =
      mode == .windows
      ? []
      : streams.enumerated().map { index, entry in
        let order = IndexPermutation(
          count: entry.stream.documentStarts.count, generator: generator,
          stream: RandomUse.packingOrder.stream(index))
        return PackingPlan(entry.stream, length: sequenceLength, order: order)
      }
  }

  /// The shares that are in force.
  public var shares: MixtureShares { mixture.shares }

  /// The same sampler with the shares that an earlier one of these streams had. It draws no sample
  /// that came before them.
  public func dealing(_ shares: MixtureShares) -> TrainingSampler {
    precondition(
      shares.weights.count == streams.count && shares.drawn.count == streams.count
        && shares.weights.allSatisfy { $0 > 0 && $0.isFinite },
      "shares \(shares) for \(streams.count) streams")
    var sampler = self
    sampler.mixture = Mixture(shares, generator: generator)
    return sampler
  }

  /// The same sampler with other shares from a step on: each domain goes on where it is.
  /// - Parameter weights: One for each stream, positive and finite, in any unit.
  public func reweighted(_ weights: [Double], fromStep step: Int) -> TrainingSampler {
    dealing(MixtureShares(weights: weights, drawn: mixture.drawn(before: step * batchSize)))
  }

  /// The batch of a step, counted from 0.
  public func batch(step: Int) -> Batch { batch(step: step, sequences: 0..<batchSize) }

  /// Some of the sequences of a step's batch, for one of several workers.
  public func batch(step: Int, sequences: Range<Int>) -> Batch {
    precondition(sequences.lowerBound >= 0 && sequences.upperBound <= batchSize)
    var batch = Batch(sequenceLength: sequenceLength)
    let first = step * batchSize
    let samples = first + sequences.lowerBound..<first + sequences.upperBound
    for (domain, ordinal) in mixture.assignments(samples) {
      switch mode {
      case .windows:
        let stream = streams[domain]
        let start = generator.integer(
          below: stream.ids.count - sequenceLength,
          stream: RandomUse.windowStart.stream(domain), index: UInt64(ordinal))
        batch.appendWindow(of: stream, from: start, domain: domain)
      case .documents:
        batch.appendPacked(
          pieces(domain, ordinal), of: streams[domain], padding: padding, domain: domain)
      }
    }
    return batch
  }

  /// The number of sequences that hold every document of a stream once; `nil` for windows.
  public func sequencesPerEpoch(ofStream index: Int) -> Int? {
    mode == .documents ? plans[index].sequences.count : nil
  }

  /// A domain's packed sequences, each epoch in another order.
  private func pieces(_ domain: Int, _ ordinal: Int) -> [PackingPlan.Piece] {
    let sequences = plans[domain].sequences
    let (epoch, index) = ordinal.quotientAndRemainder(dividingBy: sequences.count)
    let order = IndexPermutation(
      count: sequences.count, generator: generator,
      stream: RandomUse.epochOrder.stream(domain, part: epoch))
    return sequences[order[index]]
  }
}

/// Why no batches can be drawn.
public enum SamplerError: Error, Equatable, Sendable, CustomStringConvertible {
  case emptyBatch(sequenceLength: Int, batchSize: Int)
  case streamCount(Int)
  case weight(Double, domain: String)
  case tooShort(domain: String, tokens: Int, needed: Int)
  case nothingToLearn(domain: String)

  public var description: String {
    switch self {
    case .emptyBatch(let length, let size):
      "\(size) sequences of \(length) tokens make no batch; both must be at least 1"
    case .streamCount(let count):
      "\(count) domains to draw from; give from 1 to \(Mixture.blockSize)"
    case .weight(let weight, let domain):
      "domain \(domain) has the weight \(weight); give a finite number above 0"
    case .tooShort(let domain, let tokens, let needed):
      "domain \(domain) has \(tokens) tokens where \(needed) are needed; "
        + "shorten the sequences or add records"
    case .nothingToLearn(let domain):
      "domain \(domain) has no token to learn; its records need assistant messages or text"
    }
  }
}
