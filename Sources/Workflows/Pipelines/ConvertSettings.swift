import ExpertConstruction
import Formats

/// How a dense model becomes a mixture; `herd convert`'s options and a pipeline's `convert` section.
public struct ConvertSettings: Sendable, Equatable {
  /// Routed experts.
  public var experts = 28
  /// Routed experts each token uses.
  public var topK = 4
  /// Always-on experts of the same width.
  public var shared = 4
  /// How neurons are divided among experts.
  public var strategy = "activation"
  /// How router weights are made.
  public var router = "regressed"
  /// How chosen experts are weighted; `nil` takes what suits the format.
  public var combination: String?
  /// The format to write.
  public var format = "herd"
  /// Calibration files; empty lets the dense model write its own text.
  public var data: [String] = []
  /// Calibration tokens.
  public var calibrationTokens = 8192
  /// Formats the model will be exported to; it is made so that they can hold it.
  public var exports: [String] = []
  /// Whether it will be trained before it is exported.
  public var trainsBeforeExport = true

  /// The names of all strategies.
  public static let strategies = StrategyName.allCases.map(\.rawValue).joined(separator: ", ")
  /// The names of all routers.
  public static let routers = RouterName.allCases.map(\.rawValue).joined(separator: ", ")
  /// The names of all combination rules.
  public static let combinations = CombinationRule.allCases.map(\.rawValue)
    .joined(separator: ", ")
  /// The names of all formats.
  public static let formats = OutputFormat.allCases.map(\.rawValue).joined(separator: ", ")

  /// The defaults, which measured best.
  public init() {}

  init(_ section: ConfigurationFile) throws {
    try section.refuseUnknownKeys(known: [
      "experts", "top_k", "shared", "strategy", "router", "combination", "format", "data",
      "calibration_tokens",
    ])
    experts = try section.integer("experts", default: experts)
    topK = try section.integer("top_k", default: topK)
    shared = try section.integer("shared", default: shared)
    strategy = try section.string("strategy", default: strategy)
    router = try section.string("router", default: router)
    combination = try section.optionalString("combination")
    format = try section.string("format", default: format)
    data = try section.strings("data", default: [])
    calibrationTokens = try section.integer("calibration_tokens", default: calibrationTokens)
  }
}
