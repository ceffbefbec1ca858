/// LLaMA-MoE's *sharing inner* (Zhu et al. 2024): each expert takes the neurons that matter most to its
/// own cluster, whoever else has them; neurons that no expert wants are left out.
public struct SharingInnerStrategy: SharingStrategy {
  public let summary =
    "each expert the neurons that matter most to its cluster, experts overlap"
  public let sharedUnits = SharedUnits.none

  /// The strategy; it has no settings.
  public init() {}

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    let all = (0..<Int32(layer.geometry.width)).map { $0 }
    return try layer.overlappingSplit(shared: [], routed: all)
  }
}
