/// Which weights of a stage are trained by additions of low rank (Hu et al. 2021, "LoRA").
public struct LowRankSettings: Sendable, Equatable {
  /// Rank of the additions.
  public var rank: Int
  /// The additions are scaled by `alpha / rank`.
  public var alpha: Double
  /// Glob patterns of the weights of linear maps; those stay as they are until the stage ends.
  public var targets: [String]

  /// Settings from their parts.
  /// - Parameter alpha: `rank` unless given.
  public init(rank: Int, alpha: Double? = nil, targets: [String]) {
    self.rank = rank
    self.alpha = alpha ?? Double(rank)
    self.targets = targets
  }
}
