/// LLaMA-MoE's *sharing inner* (Zhu et al. 2024): each expert takes the neurons that matter most to its
/// own cluster, whoever else has them; neurons that no expert wants are left out.
///
/// LLaMA-MoE clusters texts by their embeddings; the clusters here are those of hidden states, layer by
/// layer (``ClusterImportance``).
public struct SharingInnerStrategy: ExpertConstructionStrategy {
  public let summary =
    "each expert the neurons that matter most to its cluster, experts overlap"
  public let source = "Zhu et al. 2024, LLaMA-MoE"
  public let data = "calibration text"
  public let cost = "the whole model forward and backward"
  public let inputPasses = 0
  public let readsWeights = false
  public let needsGradients = true
  public let form = SplitForm.overlapping
  public let sharedUnits = SharedUnits.none

  /// The strategy; it has no settings.
  public init() {}

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    let all = (0..<Int32(layer.geometry.width)).map { $0 }
    return try layer.overlappingSplit(shared: [], routed: all)
  }
}

extension LayerUnderConstruction {
  /// The split in which each expert takes the most important of `routed` for its cluster.
  func overlappingSplit(shared: [Int32], routed: [Int32]) throws(ConstructionError) -> NeuronSplit {
    let importance = try importancePerExpert()
    return try NeuronSplit(
      shared: shared,
      experts: (0..<geometry.experts).map {
        importance.order(ofCluster: $0, among: routed).prefix(geometry.expertWidth).sorted()
      }, geometry: geometry)
  }
}
