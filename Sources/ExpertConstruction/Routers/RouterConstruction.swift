import Models
import Numerics

/// A router: expert `e` scores `weight_e · x + bias_e`, or as a gated pair
/// `|silu(weight_e · x) · (up_e · x)|`, or by the lengths of several rows each.
public struct Router: Equatable, Sendable {
  /// ``rank`` rows per expert, `[E · rank, D]` row-major.
  public var weight_ED: [Float]
  /// One number per expert; `nil` where the router has none.
  public var bias_E: [Float]?
  /// The second rows of each expert, as many as the first; `nil` for a linear router.
  public var up_ED: [Float]?
  /// Rows per expert: 1 but for pairs of lengths.
  public var rank = 1
  /// Choices after a token's first are dropped where their score is below this.
  public var threshold: Double?

  /// A router from its rows and biases.
  public init(weight_ED: [Float], bias_E: [Float]? = nil, up_ED: [Float]? = nil) {
    self.weight_ED = weight_ED
    self.bias_E = bias_E
    self.up_ED = up_ED
  }

  /// Whether every number is finite.
  var isFinite: Bool {
    [weight_ED, bias_E ?? [], up_ED ?? []].allSatisfy { $0.allSatisfy(\.isFinite) }
  }

  /// The scores of the experts on inputs `x_TD`, `[T, E]`.
  func scores(_ x_TD: Tensor, _ context: Context) -> Tensor {
    let rows = weight_ED.count / max(1, x_TD.columns)
    func map(_ values: [Float], _ bias: [Float]? = nil) -> LinearMap {
      LinearMap(
        weight_OI: context.tensor(values, [rows, x_TD.columns]),
        bias_O: bias.map { context.tensor($0, [rows]) })
    }
    let first_TE = context.scores(x_TD, map(weight_ED, bias_E))
    guard let up_ED else { return first_TE }
    let second_TE = context.scores(x_TD, map(up_ED))
    return rank > 1
      ? context.lengthProduct(first_TE, second_TE, groups: rows / rank)
      : context.absolute(context.swiglu(gate: first_TE, up: second_TE))
  }
}

/// A way of making a router for a split that is already decided.
public protocol RouterConstruction: Sendable {
  /// What it does, in one line.
  var summary: String { get }
  /// Where it comes from: authors, year, title.
  var source: String { get }
  /// What it needs besides weights.
  var data: String { get }
  /// What it costs, in words.
  var cost: String { get }
  /// How often the layer's inputs are streamed to it; 0 when it works without calibration data.
  var inputPasses: Int { get }
  /// Whether its routers have a bias when the format allows one.
  func usesBias(withInputs: Bool) -> Bool
  /// Whether its routers are nothing without their bias.
  var needsBias: Bool { get }
  /// Whether its routers tell experts apart that have the same neurons.
  var tellsCopiesApart: Bool { get }
  /// How its routers score experts.
  var kind: RouterKind { get }
  /// Rows per expert of its routers.
  func rank(expertWidth: Int) -> Int
  /// Makes the router; without a bias unless `allowsBias`.
  func router(for layer: LayerUnderConstruction, _ split: NeuronSplit, allowsBias: Bool) throws
    -> Router
}

extension RouterConstruction {
  public var needsBias: Bool { false }
  public var tellsCopiesApart: Bool { false }
  public var kind: RouterKind { .linear }
  public func rank(expertWidth: Int) -> Int { 1 }
}

/// The routers by the names users give them.
public enum RouterName: String, CaseIterable, Sendable {
  case random, centroid, regressed, analytic
  case gateMean = "gate-mean"
  case kMeans = "kmeans"
  case prefix, spectral

  /// The construction of this name with its standard settings.
  public func make() -> any RouterConstruction {
    switch self {
    case .random: RandomRouter()
    case .centroid: CentroidRouter()
    case .regressed: RegressedRouter()
    case .analytic: AnalyticRouter()
    case .gateMean: GateMeanRouter()
    case .kMeans: KMeansRouter()
    case .prefix: PrefixRouter()
    case .spectral: SpectralRouter()
    }
  }
}
