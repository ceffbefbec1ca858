/// A strategy that divides neurons by what they matter to the loss on clusters of hidden states
/// (``ClusterImportance``), an expert for each cluster, and looks at nothing else.
public protocol ImportancePerClusterStrategy: ExpertConstructionStrategy {}

extension ImportancePerClusterStrategy {
  public var data: String { "calibration text" }
  public var inputPasses: Int { 0 }
  public var readsWeights: Bool { false }
  public var needsGradients: Bool { true }
}
