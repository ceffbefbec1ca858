/// LLaMA-MoE-v2's residual split (Qu et al. 2024): the neurons that matter to most clusters are shared
/// (``SharedTiers``), the others divided as ``GradientStrategy`` does.
public struct GradientResidualStrategy: ImportancePerClusterStrategy {
  public let summary =
    "as gradient, with what matters to most clusters shared"
  public let source = "Qu et al. 2024, LLaMA-MoE v2 (residual)"
  public let cost = "the whole model forward and backward, one transport problem a layer"
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
