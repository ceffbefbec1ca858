import Numerics

/// A way of dividing an MLP's neurons among experts.
///
/// A strategy sees one layer's tensors and a stream of that layer's inputs, says beforehand how
/// often it reads that stream, and gives that layer's split. It knows nothing of other layers.
public protocol ExpertConstructionStrategy: Sendable {
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
  /// Whether it looks at the layer's weights.
  var readsWeights: Bool { get }
  /// Whether it needs the loss's gradient on calibration text (``ClusterImportance``).
  var needsGradients: Bool { get }
  /// What its splits do with the neurons.
  var form: SplitForm { get }
  /// Whether it makes shared units.
  var sharedUnits: SharedUnits { get }
  /// The router its experts get where none is asked for.
  var standardRouter: RouterName { get }
  /// Why MLPs cannot be cut like this; `nil` when they can.
  func refusal(of geometry: SplitGeometry) -> String?
  /// Divides the layer.
  func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit
  /// How many of the `active` units that a token uses should be shared, where the strategy has a rule
  /// for it; `nil` leaves it to a search.
  func sharedCount(for layer: LayerUnderConstruction, active: Int) throws -> Int?
}

extension ExpertConstructionStrategy {
  public func sharedCount(for layer: LayerUnderConstruction, active: Int) throws -> Int? { nil }
}

extension ExpertConstructionStrategy {
  public var needsGradients: Bool { false }
  public var form: SplitForm { .partition }
  public var sharedUnits: SharedUnits { .optional }
  public var standardRouter: RouterName { .regressed }
  public func refusal(of geometry: SplitGeometry) -> String? { nil }
}

/// The strategies by the names users give them.
public enum StrategyName: String, CaseIterable, Sendable {
  case sequential
  case random
  case clusterWeights = "cluster-weights"
  case activation
  case coactivation
  case gradient
  case gradientResidual = "gradient-residual"
  case sharingInner = "sharing-inner"
  case sharingInter = "sharing-inter"
  case prune
  case cmoe
  case profile
  case nested
  case upcycle
  case dropUpcycle = "drop-upcycle"

  /// Whether each expert is a copy of the whole MLP.
  public var makesCopies: Bool { make().form == .copied }

  /// The strategy of this name with its standard settings.
  /// - Parameters:
  ///   - assignment: How those that score neurons per cluster give them to experts.
  ///   - dropRatio: The share of an expert's neurons that Drop-Upcycling draws anew.
  public func make(
    assignment: ImportanceAssignment = .exact,
    dropRatio: Double = DropUpcycleStrategy.publishedRatio
  ) -> any ExpertConstructionStrategy {
    switch self {
    case .sequential: SequentialStrategy()
    case .random: RandomStrategy()
    case .clusterWeights: ClusterWeightsStrategy()
    case .activation: ActivationStrategy()
    case .coactivation: CoactivationStrategy()
    case .gradient: GradientStrategy(assignment: assignment)
    case .gradientResidual: GradientResidualStrategy(assignment: assignment)
    case .sharingInner: SharingInnerStrategy()
    case .sharingInter: SharingInterStrategy()
    case .prune: PruneStrategy()
    case .cmoe: CMoEStrategy()
    case .profile: ProfileStrategy()
    case .nested: NestedStrategy()
    case .upcycle: UpcycleStrategy()
    case .dropUpcycle: DropUpcycleStrategy(ratio: dropRatio)
    }
  }
}
