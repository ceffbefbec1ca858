/// LLaMA-MoE-v2's Gradient Split Plus (Qu et al. 2024): an expert for each cluster of hidden states,
/// made of the neurons that matter to the loss on its tokens.
///
/// The scores are ``ClusterImportance``, computed by ``GradientCalibration``. By default the division
/// has the largest possible total score; `greedy` is v2's own rule.
public struct GradientStrategy: ImportancePerClusterStrategy {
  public let summary =
    "for each cluster of hidden states the neurons that matter to its loss"
  public let source = "Qu et al. 2024, LLaMA-MoE v2 (Gradient Split Plus)"
  public let cost = "the whole model forward and backward, one transport problem a layer"
  public let sharedUnits = SharedUnits.none
  /// How neurons are given to experts.
  public let assignment: ImportanceAssignment

  /// The strategy with one of the two ways of giving neurons to experts.
  public init(assignment: ImportanceAssignment = .exact) { self.assignment = assignment }

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    let all = (0..<Int32(layer.geometry.width)).map { $0 }
    return try layer.split(shared: [], routed: all, by: assignment)
  }
}

extension LayerUnderConstruction {
  /// The split that divides `routed` by their importance to each expert's cluster.
  func split(
    shared: [Int32], routed: [Int32], by assignment: ImportanceAssignment
  ) throws(ConstructionError) -> NeuronSplit {
    let values = try importancePerExpert().byNeuron(routed)
    return try NeuronSplit(
      shared: shared, routed: routed,
      assignment: assignment.solve(values_NG: values, groups: geometry.experts),
      geometry: geometry)
  }
}
