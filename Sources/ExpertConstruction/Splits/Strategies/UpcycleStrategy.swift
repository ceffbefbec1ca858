/// Sparse upcycling (Komatsuzaki et al. 2023): every expert is a copy of the whole dense MLP.
///
/// The weights of the experts a token chooses sum to one, so that the mixture computes what the dense
/// model does until training tells the copies apart.
public struct UpcycleStrategy: ExpertConstructionStrategy {
  public let summary =
    "every expert a copy of the whole MLP: the dense model's function, E times its neurons"
  public let source = "Komatsuzaki et al. 2023, Sparse Upcycling"
  public let data = "none"
  public let cost = "copying the weights E times"
  public let inputPasses = 0
  public let readsWeights = false
  public let form = SplitForm.copied
  public let sharedUnits = SharedUnits.none
  public let standardRouter = RouterName.random

  /// The strategy; it has no settings.
  public init() {}

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    try NeuronSplit(copying: layer.geometry)
  }
}
