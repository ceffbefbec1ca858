import Glibc

/// How evenly one mixture layer used its routed experts.
public struct ExpertLoad: Sendable, Equatable {
  /// Index of the block.
  public let layer: Int
  /// Which half of the block.
  public let part: BlockPart
  /// How often each expert was chosen.
  public let counts: [Int]

  /// The load behind counts per expert.
  public init(layer: Int, part: BlockPart = .mlp, counts: [Int]) {
    self.layer = layer
    self.part = part
    self.counts = counts
  }

  /// Each expert's part of all choices; the parts add up to 1.
  public var shares: [Double] {
    let total = counts.reduce(0, +)
    return counts.map { total == 0 ? 0 : Double($0) / Double(total) }
  }

  /// Entropy of the shares over that of an even split: 1 when even, 0 when one expert does it all.
  public var normalizedEntropy: Double {
    guard counts.count > 1 else { return 1 }
    let entropy = shares.reduce(0) { $1 > 0 ? $0 - $1 * log($1) : $0 }
    return entropy / log(Double(counts.count))
  }

  /// The largest share.
  public var maximumShare: Double { shares.max() ?? 0 }

  /// How many experts no token chose.
  public var deadExperts: Int { counts.count { $0 == 0 } }
}
