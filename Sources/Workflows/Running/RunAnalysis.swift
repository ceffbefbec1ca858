import Data
import Evaluation
import Formats
import Models
import Numerics

/// Looks closely at the last model of a run and writes `analysis.json`.
struct RunAnalysis {
  let settings: EvaluateSettings
  let pipeline: Pipeline
  let run: String
  let checkpoint: String
  /// The model's name in the run.
  let model: String
  let context: Context
  let shared: SharedWork

  /// The file's name in a run folder.
  static let fileName = "analysis.json"

  /// Writes the file and returns the figures over all layers.
  func execute(_ state: RunState) throws -> JSON {
    let folder = try ModelFolder(checkpoint)
    let tokenizer = try folder.tokenizer()
    let format = try? folder.chatFormat(tokenizer: tokenizer)
    let builder = try TokenStreamBuilder(tokenizer: tokenizer, format: format)
    let files = try settings.data.map { try pipeline.resolve($0, run: run) }
    let limit = settings.window * settings.windows + 1
    let streams = try shared.once("\(files) \(limit)") {
      try builder.streams(files: files, tokenLimit: limit)
    }
    let evaluator = try Evaluator(
      folder.loader.model(in: context), settings: settings.protocol, in: context)
    let layers = evaluator.routing(
      of: streams, windows: settings.analysisWindows, in: context)
    let summary = Self.summary(layers)
    var document: JSONObject = [
      "format_version": 1, "model": JSON(model), "windows": JSON(settings.analysisWindows),
      "domains": .array(streams.map { JSON($0.domain) }),
    ]
    for (key, value) in summary { document[key] = value }
    document["layers"] = .array(layers.map { Self.json($0, domains: streams.map(\.domain)) })
    if let importance = state.result(of: "convert")?["importance"]?.array, !importance.isEmpty {
      document["importance"] = .array(importance)
    }
    try Files.write(
      JSON.object(document).serialized(indent: 1) + "\n", to: "\(run)/\(Self.fileName)")
    return .object(summary)
  }

  /// Figures over all mixtures, under the names that trl's MoE metrics have.
  static func summary(_ layers: [LayerRoutingStatistics]) -> JSONObject {
    let loads = layers.map(\.load)
    guard !loads.isEmpty else { return [:] }
    func mean(_ values: [Double]) -> JSON { JSON(values.reduce(0, +) / Double(values.count)) }
    let entropies = loads.map(\.normalizedEntropy)
    let active = loads.map { 1 - Double($0.deadExperts) / Double(max(1, $0.counts.count)) }
    return [
      "expert_usage/normalized_entropy_mean": mean(entropies),
      "expert_usage/normalized_entropy_min": JSON(entropies.min() ?? 0),
      "expert_usage/max_share_mean": mean(loads.map(\.maximumShare)),
      "expert_usage/max_share_max": JSON(loads.map(\.maximumShare).max() ?? 0),
      "expert_usage/active_fraction_mean": mean(active),
      "expert_usage/dead_experts": JSON(loads.reduce(0) { $0 + $1.deadExperts }),
      "router/normalized_entropy_mean": mean(layers.map { $0.routerEntropy() }),
      "router/normalized_entropy_min": JSON(layers.map { $0.routerEntropy() }.min() ?? 0),
      "domain_divergence_mean": mean(layers.map(\.domainDivergence)),
      "domain_divergence_max": JSON(layers.map(\.domainDivergence).max() ?? 0),
    ]
  }

  private static func json(_ layer: LayerRoutingStatistics, domains: [String]) -> JSON {
    func perDomain(_ value: (Int) -> JSON) -> JSON {
      var object = JSONObject()
      for (index, domain) in domains.enumerated() { object[domain] = value(index) }
      return .object(object)
    }
    let load = layer.load
    return [
      "layer": JSON(layer.layer), "part": JSON(layer.part.rawValue),
      "experts": JSON(layer.experts), "top_k": JSON(layer.topK),
      // Load over the load of an even split, as Automodel counts utilisation.
      "utilization": numbers(load.shares.map { $0 * Double(layer.experts) }),
      "normalized_entropy": JSON(load.normalizedEntropy), "max_share": JSON(load.maximumShare),
      "dead_experts": JSON(load.deadExperts),
      "load": perDomain { numbers(layer.load(domain: $0).shares) },
      "router_entropy": JSON(layer.routerEntropy()),
      "router_entropy_by_domain": perDomain { JSON(layer.routerEntropy(domain: $0)) },
      "domain_divergence": JSON(layer.domainDivergence),
      "coactivation": .array(layer.coactivation.map(numbers)),
    ]
  }

  private static func numbers(_ values: [Double]) -> JSON {
    // Five digits tell all that a load can say.
    .array(values.map { JSON(($0 * 1e5).rounded() / 1e5) })
  }
}
