import Models
import Numerics

/// The m-th query head of every key head as expert m, over keys and values that all share: the
/// mixture of attention heads of JetMoE. Weights are a softmax over the chosen experts times their
/// number.
public struct MixtureOfHeadsStrategy: AttentionStrategy {
  public let summary = "the m-th query head of every key head is expert m, keys and values shared"
  public let source =
    "Shen et al. 2024, JetMoE: Reaching Llama2 Performance with 0.1M Dollars, arXiv 2404.07413"
  public let data = "text"
  public let cost = "one pass of the calibration text and a ridge regression per layer"

  /// The strategy; it has no settings.
  public init() {}

  public func geometry(_ settings: AttentionSettings, for attention: AttentionConfiguration) throws
    -> AttentionGeometry
  {
    let experts = attention.heads / attention.keyHeads
    return try fixedGeometry(
      settings, experts: experts, topK: max(1, experts * 3 / 4), attention)
  }

  public let kind = AttentionMixtureConfiguration.Kind.moa

  public func combination(topK: Int, isRandom: Bool) -> Combination {
    .renormalizedSoftmax(scale: Double(topK))
  }
}
