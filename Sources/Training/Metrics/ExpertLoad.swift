import Glibc

/// How a mixture layer's slots (tokens times choices) were shared out.
public struct ExpertLoad: Sendable, Equatable {
  /// Block index.
  public var layer: Int
  /// Slots of each expert.
  public var counts: [Int]

  /// A layer's slots per expert.
  public init(layer: Int, counts: [Int]) {
    self.layer = layer
    self.counts = counts
  }

  /// Share of the slots of each expert; they sum to one.
  public var fractions: [Double] {
    let total = Double(max(1, counts.reduce(0, +)))
    return counts.map { Double($0) / total }
  }

  /// Entropy of the shares over that of equal shares: 1 is balanced, 0 is one expert for all.
  public var normalisedEntropy: Double {
    guard counts.count > 1 else { return 1 }
    let entropy = fractions.reduce(0) { $1 > 0 ? $0 - $1 * log($1) : $0 }
    return entropy / log(Double(counts.count))
  }

  /// The largest share.
  public var maximumShare: Double { fractions.max() ?? 0 }

  /// Experts that got nothing.
  public var deadExperts: Int { counts.count { $0 == 0 } }
}
