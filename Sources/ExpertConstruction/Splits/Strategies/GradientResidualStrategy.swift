/// LLaMA-MoE-v2's residual split (Qu et al. 2024): the neurons that matter to most clusters are shared
/// (``SharedTiers``), the others divided as ``GradientStrategy`` does.
public struct GradientResidualStrategy: ExpertConstructionStrategy {
  public let inputPasses = 0
  public let readsWeights = false
  public let needsGradients = true
  public let sharedUnits = SharedUnits.required
  /// How neurons are given to experts.
  public let assignment: ImportanceAssignment

  /// The strategy with one of the two ways of giving neurons to experts.
  public init(assignment: ImportanceAssignment = .exact) { self.assignment = assignment }

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    let (shared, others) = SharedTiers.select(
      try layer.importancePerExpert(), geometry: layer.geometry)
    return try layer.split(shared: shared, routed: others, by: assignment)
  }
}
