import Numerics

/// Slices of the neurons in order of importance: the shared units hold the most important ones, the
/// first expert the next, so that the first experts together are the best narrower MLP (the nested
/// experts of DynaMoE, Nishu et al. 2025).
///
/// With the router `prefix` and --mean-top-k a token uses the first of them, as many as it needs;
/// with a fixed top-k and that router the layer is a pruned one.
public struct NestedStrategy: ExpertConstructionStrategy {
  public let summary = "slices of the neurons in order of importance"
  public let source = "Nishu et al. 2025, From Dense to Dynamic (DynaMoE)"
  public let data = "calibration text"
  public let cost = "one pass of the text"
  public let inputPasses = 1
  public let readsWeights = true

  /// The strategy; it has no settings.
  public init() {}

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    let importance = try layer.activations().importance_I
    let order = importance.indices.sorted {
      importance[$0] > importance[$1] || (importance[$0] == importance[$1] && $0 < $1)
    }
    let geometry = layer.geometry
    let routed = order.dropFirst(geometry.sharedWidth)
    return try NeuronSplit(
      shared: order.prefix(geometry.sharedWidth).map { Int32($0) },
      routed: routed.map { Int32($0) },
      assignment: routed.indices.map {
        Int32(($0 - routed.startIndex) / max(1, geometry.expertWidth))
      }, geometry: geometry)
  }
}
