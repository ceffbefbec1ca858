/// LLaMA-MoE's *sharing inter* (Zhu et al. 2024): the neurons that matter to most clusters are shared by
/// ``GradientResidualStrategy``'s rule, and each expert takes of the others those that matter most to
/// its own cluster, whoever else has them. Where experts are to be disjoint, this is
/// `gradient-residual`.
public struct SharingInterStrategy: SharingStrategy {
  public let summary =
    "as sharing-inner, with what matters to most clusters shared"
  public let sharedUnits = SharedUnits.required

  /// The strategy; it has no settings.
  public init() {}

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    let (shared, others) = SharedTiers.select(
      try layer.importancePerExpert(), geometry: layer.geometry)
    return try layer.overlappingSplit(shared: shared, routed: others)
  }
}
