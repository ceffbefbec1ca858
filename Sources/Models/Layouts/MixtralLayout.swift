import Formats
import Numerics

/// Mixtral: softmax over all experts, top-k, renormalised; no shared experts.
public struct MixtralLayout: CheckpointLayout {
  public static let modelTypes = ["mixtral"]
  public let configuration: ModelConfiguration

  public init(_ config: ConfigurationFile) throws {
    let base = try LlamaFields(config)
    let mixture = MixtureConfiguration(
      experts: try config.positive("num_local_experts", maximum: ModelLimits.experts),
      topK: try config.positive("num_experts_per_tok"),
      expertWidth: try config.positive("intermediate_size"),
      combination: .renormalizedSoftmax(scale: 1), foldedScale: try config.foldedScale())
    try mixture.validate(config)
    configuration = base.model(everyMLP: .mixture(mixture))
  }

  public var bindings: [TensorBinding] {
    configuration.bindings { layer, mlp in
      guard case .mixture(let mixture) = mlp else { return [] }
      let prefix = "\(ParameterName.block(layer)).block_sparse_moe"
      let names: [ExpertMatrix: String] = [.gate: "w1", .up: "w3", .down: "w2"]
      return [
        TensorBinding(
          "\(prefix).gate.weight", [mixture.experts, configuration.hiddenSize],
          parameter: "\(ParameterName.mlp(layer)).router.weight")
      ]
        + configuration.expertBindings(layer: layer, mixture) { expert, matrix in
          "\(prefix).experts.\(expert).\(names[matrix] ?? "").weight"
        }
    }
  }
}

extension MixtureConfiguration {
  /// Refuses impossible sizes.
  func validate(_ config: ConfigurationFile) throws(ModelError) {
    guard topK >= 1, topK <= experts else {
      throw ModelError(
        "\(config.path): top-k \(topK) with \(experts) experts; top-k must lie in 1...\(experts)")
    }
    let ranks = routerKind == .lengthPair ? 2...max(2, expertWidth) : 1...1
    guard ranks.contains(routerRank) else {
      throw ModelError(
        "\(config.path): router_rank \(routerRank) of a \(routerKind.rawValue) router must be from "
          + "\(ranks.lowerBound) to \(ranks.upperBound)")
    }
    guard !routerBias || routerKind == .linear else {
      throw ModelError("\(config.path): a \(routerKind.rawValue) router has no bias")
    }
    guard scoreThreshold == nil || !combination.sharesWeight else {
      throw ModelError(
        "\(config.path): score_threshold drops experts, whose weights the others' rule would share; "
          + "use the rule gained, softmax or sigmoid")
    }
  }
}

extension ConfigurationFile {
  /// The factor an export multiplied the routed down projections by, or the output projections of
  /// another `part`; 1 where it says nothing.
  func foldedScale(of part: String? = nil) throws -> Double {
    let key = part.map { "\($0)_folded_scale" } ?? "folded_scale"
    return try optionalSection("herd_export")?.positiveDouble(key, default: 1) ?? 1
  }
}
