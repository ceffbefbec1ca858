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
  /// Always-on experts of the same width; `nil` takes what suits the strategy and the model.
  public var shared: Int?
  /// Whether the number of shared units is searched for each layer; `experts` then counts all units
  /// and `topK` all that a token uses.
  public var searchesShared = false
  /// How neurons are divided among experts; `none` leaves MLPs dense.
  public var strategy = "activation"
  /// Layers whose MLPs stay dense.
  public var keepDense: [Int] = []
  /// How strategies by gradients give neurons to experts; `nil` takes the exact way.
  public var assignment: String?
  /// What of attention becomes experts; `none` leaves it dense.
  public var attention = "none"
  /// Routed attention experts; `nil`, here and below, takes what suits the model's heads.
  public var attentionExperts: Int?
  /// Routed attention experts each token uses.
  public var attentionTopK: Int?
  /// Always-on attention units of the same size.
  public var attentionShared: Int?
  /// The share of an expert's neurons that Drop-Upcycling draws anew; `nil` takes the published one.
  public var dropRatio: Double?
  /// How router weights are made; `nil` takes what suits the strategy.
  public var router: String?
  /// How experts are corrected under their router without training.
  public var recovery = "none"
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
  /// Whether its attention becomes linear before it is exported.
  public var becomesLinear = false

  /// The names of all strategies.
  public static let strategies =
    (StrategyName.allCases.map(\.rawValue) + ["none"]).joined(separator: ", ")
  /// The names of what attention can become.
  public static let attentions =
    (["none"] + AttentionStrategyName.allCases.map(\.rawValue)).joined(separator: ", ")
  /// The names of the ways in which neurons are given to experts.
  public static let assignments = ImportanceAssignment.allCases.map(\.rawValue)
    .joined(separator: ", ")
  /// The names of all routers.
  public static let routers = RouterName.allCases.map(\.rawValue).joined(separator: ", ")
  /// The names of all recoveries.
  public static let recoveries = RecoveryName.allCases.map(\.rawValue).joined(separator: ", ")
  /// The names of all combination rules.
  public static let combinations = CombinationRule.allCases.map(\.rawValue)
    .joined(separator: ", ")
  /// The names of the formats that a conversion writes.
  public static let formats = OutputFormat.convertible.map(\.rawValue).joined(separator: ", ")

  /// The defaults, which measured best.
  public init() {}

  /// Units that every token uses, where their number was given.
  var sharedUnits: Int { shared ?? 0 }
  /// The same as a word: `auto` where it is searched for.
  var sharedText: String { searchesShared ? "auto" : "\(sharedUnits)" }

  init(_ section: ConfigurationFile) throws {
    try section.refuseUnknownKeys(known: [
      "experts", "top_k", "mean_top_k", "shared", "strategy", "router", "combination", "format",
      "data",
      "calibration_tokens", "attention", "attention_experts", "attention_top_k",
      "attention_shared", "keep_dense", "assignment", "drop_ratio", "recovery",
    ])
    experts = try section.integer("experts", default: experts)
    topK = try section.integer("top_k", default: topK)
    meanTopK = try section.optionalDouble("mean_top_k")
    searchesShared = section.object["shared"]?.string == "auto"
    shared = searchesShared ? nil : try section.optionalInteger("shared")
    keepDense = try section.integers("keep_dense", default: [])
    assignment = try section.optionalString("assignment")
    strategy = try section.string("strategy", default: strategy)
    attention = try section.string("attention", default: attention)
    attentionExperts = try section.optionalInteger("attention_experts")
    attentionTopK = try section.optionalInteger("attention_top_k")
    attentionShared = try section.optionalInteger("attention_shared")
    dropRatio = try section.optionalDouble("drop_ratio")
    router = try section.optionalString("router")
    recovery = try section.string("recovery", default: recovery)
    combination = try section.optionalString("combination")
    format = try section.string("format", default: format)
    data = try section.strings("data", default: [])
    calibrationTokens = try section.integer("calibration_tokens", default: calibrationTokens)
  }

  /// Layers written as `0,31`.
  public static func layers(_ text: String) throws(WorkflowError) -> [Int] {
    var layers: [Int] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let layer = Int(part), layer >= 0 else {
        throw WorkflowError("\"\(text)\" is not a list of layers; write numbers like 0,31")
      }
      layers.append(layer)
    }
    return layers
  }

  /// The router's name, that of the strategy where none was given.
  var routerName: String {
    router ?? (StrategyName(rawValue: strategy)?.make().standardRouter ?? .regressed).rawValue
  }

  /// Whether every expert is as large as the dense MLP.
  var makesCopies: Bool { StrategyName(rawValue: strategy)?.makesCopies == true }

  /// The neurons of an MLP after the conversion over those before it.
  var sizeShare: Double { makesCopies ? Double(experts) : 1 }

  /// The share of an MLP of `width` neurons that a token uses after the conversion.
  func activeShare(ofWidth width: Int) -> Double {
    guard let strategy = StrategyName(rawValue: strategy) else { return 1 }
    if makesCopies { return Double(topK) }
    let shared =
      searchesShared
      ? 0
      : shared
        ?? SplitGeometry.standardShared(
          experts: experts, width: width, strategy.make().sharedUnits)
    return Double(topK + shared) / Double(max(1, experts + shared))
  }
}
