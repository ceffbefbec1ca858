/// What LLaMA-MoE's two ways of sharing neurons (Zhu et al. 2024) have in common: each expert takes the
/// neurons that matter most to its own cluster, whoever else has them, so that experts overlap and some
/// neurons may be in none.
///
/// LLaMA-MoE clusters texts by their embeddings; the clusters here are those of hidden states, layer by
/// layer (``ClusterImportance``).
public protocol SharingStrategy: ImportancePerClusterStrategy {}

extension SharingStrategy {
  public var source: String { "Zhu et al. 2024, LLaMA-MoE" }
  public var cost: String { "the whole model forward and backward" }
  public var form: SplitForm { .overlapping }
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
