import Numerics

/// Experts of neurons that are among the most active on the same tokens: LLaMA-MoE's co-activation
/// graph (Zhu et al. 2024; MoEfication, Zhang et al. 2022) with a partitioner of its own.
///
/// Of each calibration token the neurons of the largest weighted activation are marked, one in 64. Two
/// neurons are joined by the tokens that mark both, over the geometric mean of the tokens that mark
/// each (LLaMA-MoE counts pairs up to a threshold and calls METIS). Shared are the neurons of the
/// highest importance, as in ``ActivationStrategy``.
public struct CoactivationStrategy: ExpertConstructionStrategy {
  public let summary =
    "neurons that are among the most active on the same tokens"
  public let source = "Zhu et al. 2024, LLaMA-MoE's co-activation graph"
  public let data = "calibration text"
  public let cost = "one pass of the text and a partition of its graph a layer"
  public let inputPasses = 1
  public let readsWeights = true

  /// One neuron in how many is marked on a token.
  static let rarity = 64
  /// Neurons marked on a token at least, where the layer has them.
  static let fewest = 8

  /// The strategy; it has no settings.
  public init() {}

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    let geometry = layer.geometry
    let record = try layer.activations()
    let (shared, routed) = largest(geometry.sharedWidth, by: record.importance_I)
    let count = max(min(routed.count, Self.fewest), routed.count / Self.rarity)
    let graph = CoactivationGraph(
      nodes: routed.count, active: record.mostActive(count, of: routed))
    var random = layer.random(.clustering)
    let assignment = BalancedPartition.solve(graph, groups: geometry.experts, random: &random)
    return try NeuronSplit(
      shared: shared, routed: routed, assignment: assignment, geometry: geometry)
  }
}
