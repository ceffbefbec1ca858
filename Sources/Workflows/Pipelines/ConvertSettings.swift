import ExpertConstruction
import Formats

/// How a dense model becomes a mixture; `herd convert`'s options and a pipeline's `convert` section.
public struct ConvertSettings: Sendable, Equatable {
  /// Routed experts.
  public var experts = 28
  /// Routed experts each token uses.
  public var topK = 4
  /// Routed experts per token on average, `topK` being the most; `nil` gives every token `topK`.
  public var meanTopK: Double?
  /// Always-on experts of the same width; `nil` takes 4 beside the 28 experts of the defaults, none
  /// beside another number, which then divides the MLP width alone.
  public var shared: Int?
  /// Whether the number of shared units is searched for each layer; `experts` then counts all units
  /// and `topK` all that a token uses.
  public var searchesShared = false
  /// How neurons are divided among experts; `none` leaves MLPs dense.
  public var strategy = "activation"
  /// What of attention becomes experts; `none` leaves it dense.
  public var attention = "none"
  /// Routed attention experts; `nil`, here and below, takes what suits the model's heads.
  public var attentionExperts: Int?
  /// Routed attention experts each token uses.
  public var attentionTopK: Int?
  /// Always-on attention units of the same size.
  public var attentionShared: Int?
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
  public static let strategies =
    (StrategyName.allCases.map(\.rawValue) + ["none"]).joined(separator: ", ")
  /// The names of what attention can become.
  public static let attentions =
    (["none"] + AttentionStrategyName.allCases.map(\.rawValue)).joined(separator: ", ")
  /// The names of all routers.
  public static let routers = RouterName.allCases.map(\.rawValue).joined(separator: ", ")
  /// The names of all combination rules.
  public static let combinations = CombinationRule.allCases.map(\.rawValue)
    .joined(separator: ", ")
  /// The names of all formats.
  public static let formats = OutputFormat.allCases.map(\.rawValue).joined(separator: ", ")

  /// The defaults, which measured best.
  public init() {}

  /// Always-on experts, given or by default.
  public var sharedUnits: Int {
    searchesShared ? 0 : shared ?? (experts == ConvertSettings().experts ? 4 : 0)
  }

  init(_ section: ConfigurationFile) throws {
    try section.refuseUnknownKeys(known: [
      "experts", "top_k", "mean_top_k", "shared", "strategy", "router", "combination", "format",
      "data",
      "calibration_tokens", "attention", "attention_experts", "attention_top_k",
      "attention_shared",
    ])
    experts = try section.integer("experts", default: experts)
    topK = try section.integer("top_k", default: topK)
    meanTopK = try section.optionalDouble("mean_top_k")
    searchesShared = section.object["shared"]?.string == "auto"
    shared = searchesShared ? nil : try section.optionalInteger("shared")
    strategy = try section.string("strategy", default: strategy)
    attention = try section.string("attention", default: attention)
    attentionExperts = try section.optionalInteger("attention_experts")
    attentionTopK = try section.optionalInteger("attention_top_k")
    attentionShared = try section.optionalInteger("attention_shared")
    router = try section.string("router", default: router)
    combination = try section.optionalString("combination")
    format = try section.string("format", default: format)
    data = try section.strings("data", default: [])
    calibrationTokens = try section.integer("calibration_tokens", default: calibrationTokens)
  }
}
