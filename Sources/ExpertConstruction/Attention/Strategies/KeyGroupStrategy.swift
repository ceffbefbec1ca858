import Models
import Numerics

/// One key head with its query heads as an expert; a token attends to tokens of the same expert
/// only (LLaMA-MoE-v2's attention experts). With a random router, as published, weights are a softmax
/// over the chosen experts times their number: each counts whole on average. The scores of a fitted
/// router differ too much for that; with one, chosen experts enter whole, by the weight `1 + p·u`.
public struct KeyGroupStrategy: AttentionStrategy {
  public let summary =
    "a key head and its query heads are an expert that sees only the tokens routed to it"
  public let source =
    "Qu et al. 2024, LLaMA-MoE v2: Exploring Sparsity of LLaMA from Perspective of "
    + "Mixture-of-Experts with Post-Training, arXiv 2411.15708"
  public let data = "text; none with --router random, as published"
  public let cost = "one pass of the calibration text and a ridge regression per layer"

  /// The strategy; it has no settings.
  public init() {}

  public func geometry(_ settings: AttentionSettings, for attention: AttentionConfiguration) throws
    -> AttentionGeometry
  {
    let experts = attention.keyHeads
    // Seven of eight is what LLaMA-MoE-v2's script sets.
    return try fixedGeometry(
      settings, experts: experts, topK: max(1, experts - max(1, experts / 8)), attention)
  }

  public let kind = AttentionMixtureConfiguration.Kind.keyGroup

  public func combination(topK: Int, isRandom: Bool) -> Combination {
    isRandom ? .renormalizedSoftmax(scale: Double(topK)) : .gained
  }
}
