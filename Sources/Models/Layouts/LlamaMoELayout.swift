import Formats
import Numerics

/// LLaMA-MoE, first version (Zhu et al. 2024): a converted LLaMA-2 whose routers are linear, or two
/// layers with a tanh between, and whose weights are a softmax over the chosen experts times a scale
/// that may differ per layer.
///
/// The router's noise belongs to training: its weights are named and left out.
public struct LlamaMoELayout: CheckpointLayout {
  public static let modelTypes = ["llama_moe"]
  public static let title: String? = "LLaMA-MoE v1 (llama_moe)"
  public private(set) var configuration: ModelConfiguration

  public init(_ config: ConfigurationFile) throws {
    try Self.refuseOtherKinds(config)
    let base = try LlamaFields(config)
    let experts = try config.positive("num_experts", maximum: ModelLimits.experts)
    let topK = try config.positive("num_selects")
    let widths = try Self.widths(config, layers: base.layers, experts: experts)
    let scales = try Self.scales(config, layers: base.layers)
    let network = try config.string("gate_network", default: "mlp")
    let kinds: [String: RouterKind] = ["mlp": .tanhPair, "linear": .linear]
    guard let kind = kinds[network] else {
      throw ConfigurationError(
        path: config.path, key: "gate_network", expected: "mlp or linear", found: network)
    }
    configuration = base.model(
      blocks: try zip(widths, scales).map { width, scale in
        let mixture = MixtureConfiguration(
          experts: experts, topK: topK, expertWidth: width,
          combination: .renormalizedSoftmax(scale: scale), routerKind: kind)
        try mixture.validate(config)
        return BlockConfiguration(mixer: .attention(base.attention), mlp: .mixture(mixture))
      })
  }

  public var bindings: [TensorBinding] {
    configuration.bindings { layer, mlp in
      guard case .mixture(let mixture) = mlp else { return [] }
      let prefix = ParameterName.mlp(layer)
      let gate = "\(prefix).gate.gate_network"
      let inputs = [mixture.experts, configuration.hiddenSize]
      let router: [TensorBinding] =
        switch mixture.routerKind {
        case .linear:
          [TensorBinding("\(gate).weight", inputs, parameter: "\(prefix).router.weight")]
        case .gatedPair, .lengthPair: []  // No published gate is one.
        case .tanhPair:
          [
            TensorBinding("\(gate).0.weight", inputs, parameter: "\(prefix).router.hidden_weight"),
            TensorBinding(
              "\(gate).2.weight", [mixture.experts, mixture.experts],
              parameter: "\(prefix).router.weight"),
          ]
        }
      let names: [ExpertMatrix: String] = [
        .gate: "weight_gate", .up: "weight_up", .down: "weight_down",
      ]
      return router
        + configuration.expertBindings(layer: layer, mixture) { expert, matrix in
          "\(prefix).calculator.experts.\(names[matrix] ?? "").\(expert)"
        }
    }
  }

  public func mayIgnore(_ tensor: String) -> Bool {
    isRedundant(tensor) || tensor.hasSuffix(".mlp.gate.weight_noise.weight")
  }

  public var withSelectionBias: Self? {
    var biased = self
    biased.configuration = configuration.withSelectionBiases
    return biased
  }

  public var foreignFields: [String]? {
    [
      "num_experts", "num_selects", "size_experts", "gate_type", "gate_network",
      "gate_use_softmax", "gate_use_balance", "gate_balance_loss_weight", "gate_add_noise",
      "gate_noise_epsilon", "calculator_type", "multiply_gate_scores", "score_scale_factor",
      "add_weight_norm", "drop_tokens", "dropped_padding", "capacity_factor",
    ]
  }

  /// Refuses what the published code can be configured to and no released model is.
  private static func refuseOtherKinds(_ config: ConfigurationFile) throws {
    for (key, kept) in [
      ("gate_type", "TopKBalancedNoisyGate"), ("calculator_type", "UniversalCalculator"),
    ] {
      let found = try config.string(key, default: kept)
      guard found == kept else {
        throw ModelError(
          "\(config.path): \(key) \"\(found)\" is not supported; only \"\(kept)\" is")
      }
    }
    for (key, kept) in [
      ("gate_use_softmax", true), ("multiply_gate_scores", true), ("add_weight_norm", false),
    ] {
      guard try config.bool(key, default: kept) == kept else {
        throw ModelError("\(config.path): \(key) \(!kept) is not supported; only \(kept) is")
      }
    }
  }

  /// The width of an expert of each layer.
  private static func widths(_ config: ConfigurationFile, layers: Int, experts: Int) throws -> [Int]
  {
    guard config.contains("size_experts") else {
      let width = try config.positive("intermediate_size")
      guard width % experts == 0 else {
        throw ModelError(
          "\(config.path): num_experts \(experts) does not divide intermediate_size \(width) and there is no size_experts"
        )
      }
      return Array(repeating: width / experts, count: layers)
    }
    let rows = (config["size_experts"]?.array ?? []).map { ($0.array ?? []).map { $0.int ?? 0 } }
    let areSizes = rows.allSatisfy { row in
      row.count == experts && row.allSatisfy { (1...1 << 22).contains($0) }
    }
    guard rows.count == layers, areSizes else {
      throw ConfigurationError(
        path: config.path, key: "size_experts",
        expected: "\(layers) lists of \(experts) widths", found: "something else")
    }
    return try rows.enumerated().map { layer, row in
      guard let width = row.first, row.allSatisfy({ $0 == width }) else {
        throw ModelError(
          "\(config.path): size_experts of layer \(layer) differ; only experts of one width are supported"
        )
      }
      return width
    }
  }

  /// The factor on the weights of each layer.
  private static func scales(_ config: ConfigurationFile, layers: Int) throws -> [Double] {
    guard let list = config["score_scale_factor"]?.array else {
      let scale = try config.positiveDouble("score_scale_factor", default: 1)
      return Array(repeating: scale, count: layers)
    }
    let scales = list.compactMap(\.double)
    guard list.count == layers, scales.count == layers, scales.allSatisfy({ $0 > 0 }) else {
      throw ConfigurationError(
        path: config.path, key: "score_scale_factor",
        expected: "a number above 0, or \(layers) of them", found: "\(list.count) values")
    }
    return scales
  }
}
