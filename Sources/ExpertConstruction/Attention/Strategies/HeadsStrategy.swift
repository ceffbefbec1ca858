import Models
import Numerics

/// Query heads as experts over keys and values that all share, some of them always on (MoH). The
/// shared units are those whose outputs are longest on average; a chosen expert enters whole, with
/// the weight `1 + p·u`, `u` trained from 0.
public struct HeadsStrategy: AttentionStrategy {
  public let summary = "query heads are experts, keys and values shared, some heads always on"
  public let source =
    "Jin et al. 2024, MoH: Multi-Head Attention as Mixture-of-Head Attention, arXiv 2410.11842"
  public let data = "text"
  public let cost = "one pass of the calibration text and a ridge regression per layer"

  /// The strategy; it has no settings.
  public init() {}

  public func geometry(_ settings: AttentionSettings, for attention: AttentionConfiguration) throws
    -> AttentionGeometry
  {
    let heads = attention.heads
    let shared = settings.shared ?? settings.experts.map { max(0, heads - $0) } ?? heads / 2
    let experts = settings.experts ?? max(1, heads - shared)
    let units = experts + shared
    guard experts > 0, shared >= 0, heads % units == 0 else {
      let works = (1...heads).filter { heads % $0 == 0 }.map(String.init).joined(separator: ", ")
      throw ConstructionError(
        .refused,
        "--attention heads: \(experts) routed and \(shared) shared units do not divide \(heads) "
          + "query heads; together they may be \(works)")
    }
    return try AttentionGeometry(
      experts: experts, topK: settings.topK ?? max(1, experts / 2), shared: shared)
  }

  public let kind = AttentionMixtureConfiguration.Kind.heads

  public func combination(topK: Int, isRandom: Bool) -> Combination { .gained }
}
