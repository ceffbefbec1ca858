/// What a user asks of a conversion.
public struct ConversionSettings: Equatable, Sendable {
  /// Whether all MLPs stay as they are, whatever the settings of experts say.
  public var keepsMLPs = false
  /// What attention becomes; `nil` leaves it dense.
  public var attention: AttentionSettings?
  /// Routed experts.
  public var experts: Int
  /// Routed experts per token.
  public var topK: Int
  /// Routed experts per token on average over calibration text, `topK` being the most; `nil` gives
  /// every token `topK`.
  public var meanTopK: Double?
  /// Shared units of the same width; `nil` takes what suits strategy and width.
  public var shared: Int?
  /// Shared units of each layer, where they differ, of one that stays dense 0; the units in all and those a token uses stay as
  /// `experts`, `topK` and `shared` have them.
  public var sharedPerLayer: [Int]?
  /// Whether ``sharedPerLayer`` is to be searched before the conversion.
  public var searchesShared = false
  /// Layers whose MLPs stay dense.
  public var keepDense: [Int] = []
  /// How strategies that score neurons per cluster give them to experts.
  public var assignment = ImportanceAssignment.exact
  /// The share of an expert's neurons that Drop-Upcycling draws anew, above 0 and below 1.
  public var dropRatio = DropUpcycleStrategy.publishedRatio
  /// How neurons are divided.
  public var strategy: StrategyName
  /// How routers are made.
  public var router: RouterName
  /// How experts are corrected under their router without training.
  public var recovery = RecoveryName.none
  /// How chosen experts are combined; `nil` takes what suits the router and the format.
  public var rule: CombinationRule?
  /// The factor on softmax weights; `nil` takes what suits the router.
  public var scale: Double?
  /// The format to write.
  public var format: OutputFormat
  /// Formats the model must still fit when it is exported later.
  public var exports: [OutputFormat]
  /// Whether it is trained before it is exported, so that gains will not stay zero.
  public var trainsBeforeExport: Bool
  /// Whether its attention becomes linear before it is exported.
  public var becomesLinear = false
  /// Seed of everything random.
  public var seed: UInt64
  /// Calibration tokens, where calibration is needed.
  public var calibrationTokens: Int
  /// The largest file, in bytes.
  public var shardLimit: Int
  /// Whether calibration data is at hand; without it `centroid` uses weights.
  public var hasCalibrationData: Bool

  /// Settings with defaults that keep a quarter of each MLP active.
  /// - Parameter router: `nil` takes what suits the strategy.
  public init(
    experts: Int = 7, topK: Int = 1, shared: Int? = 1, strategy: StrategyName = .activation,
    router: RouterName? = nil, rule: CombinationRule? = nil, scale: Double? = nil,
    format: OutputFormat = .herd, exports: [OutputFormat] = [], trainsBeforeExport: Bool = true,
    seed: UInt64 = 0, calibrationTokens: Int = 8192,
    shardLimit: Int = 5_000_000_000, hasCalibrationData: Bool = false
  ) {
    self.experts = experts
    self.topK = topK
    self.shared = shared
    self.strategy = strategy
    self.router = router ?? strategy.make().standardRouter
    self.rule = rule
    self.scale = scale
    self.format = format
    self.exports = exports
    self.trainsBeforeExport = trainsBeforeExport
    self.seed = seed
    self.calibrationTokens = calibrationTokens
    self.shardLimit = shardLimit
    self.hasCalibrationData = hasCalibrationData
  }

  /// The strategy with its settings.
  var madeStrategy: any ExpertConstructionStrategy {
    strategy.make(assignment: assignment, dropRatio: dropRatio)
  }

  /// The format to write and those to be exported to.
  var formats: [OutputFormat] { [format] + exports }

  /// Whether the layers' inputs on calibration text are needed: given data or text sampled from the
  /// dense model.
  public var needsCalibration: Bool {
    (!keepsMLPs && mlpsNeedCalibration) || attentionUsesText
  }

  /// Whether attention's routers are fitted to text.
  var attentionUsesText: Bool { attention != nil && router != .random }

  /// Whether the loss's gradient on calibration text is needed.
  public var needsGradients: Bool { !keepsMLPs && strategy.make().needsGradients }

  private var mlpsNeedCalibration: Bool {
    let strategy = strategy.make()
    if strategy.inputPasses > 0 || strategy.needsGradients || searchesShared { return true }
    return strategy.form != .pruned
      && (router.make().inputPasses > 0 || meanTopK != nil
        || (router == .centroid && hasCalibrationData) || recovery != .none)
  }
}
