import Numerics

/// A linear router: expert `e` scores `weight_e · x + bias_e`.
public struct Router: Equatable, Sendable {
  /// One row per expert, `[E, D]` row-major.
  public var weight_ED: [Float]
  /// One number per expert; `nil` where the router has none.
  public var bias_E: [Float]?

  /// A router from its rows and biases.
  public init(weight_ED: [Float], bias_E: [Float]?) {
    self.weight_ED = weight_ED
    self.bias_E = bias_E
  }
}

/// A way of making a router for a split that is already decided.
public protocol RouterConstruction: Sendable {
  /// How often the layer's inputs are streamed to it; 0 when it works without calibration data.
  var inputPasses: Int { get }
  /// Whether its routers have a bias when the format allows one.
  func usesBias(withInputs: Bool) -> Bool
  /// Makes the router; without a bias unless `allowsBias`.
  func router(for layer: LayerUnderConstruction, _ split: NeuronSplit, allowsBias: Bool) throws
    -> Router
}

/// The routers by the names users give them.
public enum RouterName: String, CaseIterable, Sendable {
  case random, centroid, regressed

  /// The construction of this name with its standard settings.
  public func make() -> any RouterConstruction {
    switch self {
    case .random: RandomRouter()
    case .centroid: CentroidRouter()
    case .regressed: RegressedRouter()
    }
  }
}
