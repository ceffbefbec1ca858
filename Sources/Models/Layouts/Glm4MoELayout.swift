import Formats
import Numerics

/// GLM-4-MoE: sigmoid scores, a bias that only chooses experts, shared neurons always on (the routing
/// of DeepSeek-V3), behind leading layers with dense MLPs.
public struct Glm4MoELayout: CheckpointLayout {
  public static let modelTypes = ["glm4_moe"]
  public let configuration: ModelConfiguration

  public init(_ config: ConfigurationFile) throws {
    try Self.refuseWhatIsNoLLaMA(config)
    let base = try LlamaFields(config)
    var attention = base.attention
    // Its biases are on q, k and v only.
    attention.outputBias = false
    let width = try config.positive("moe_intermediate_size")
    let scale = try config.positiveDouble("routed_scaling_factor", default: 1)
    let shared = try config.integer("n_shared_experts", default: 1)
    guard (0...ModelLimits.experts).contains(shared) else {
      throw ConfigurationError(
        path: config.path, key: "n_shared_experts",
        expected: "an integer from 0 to \(ModelLimits.experts)", found: "\(shared)")
    }
    let mixture = MixtureConfiguration(
      experts: try config.positive("n_routed_experts", maximum: ModelLimits.experts),
      topK: try config.positive("num_experts_per_tok"), expertWidth: width,
      sharedWidth: shared * width,
      combination: try config.bool("norm_topk_prob", default: true)
        ? .renormalizedSigmoid(scale: scale) : .sigmoid(scale: scale),
      selectionBias: true, foldedScale: try config.foldedScale())
    try mixture.validate(config)
    let leading = try config.integer("first_k_dense_replace", default: 1)
    let dense = MLPConfiguration.dense(
      DenseConfiguration(width: try config.positive("intermediate_size")))
    configuration = base.model(
      blocks: (0..<base.layers).map { layer in
        BlockConfiguration(
          mixer: .attention(attention), mlp: layer < leading ? dense : .mixture(mixture))
      })
  }

  /// Refuses settings that change the function and have no place in a LLaMA-shaped model.
  private static func refuseWhatIsNoLLaMA(_ config: ConfigurationFile) throws {
    let groups = try config.integer("n_group", default: 1)
    guard groups == 1 else {
      throw ModelError(
        "\(config.path): n_group \(groups) chooses groups of experts first, which is not supported; only 1"
      )
    }
    guard try !config.bool("use_qk_norm", default: false) else {
      throw ModelError(
        "\(config.path): use_qk_norm is not supported; LLaMA-shaped checkpoints have false")
    }
    let nested = try config.optionalSection("rope_parameters")?
      .optionalDouble("partial_rotary_factor")
    let share = try config.optionalDouble("partial_rotary_factor") ?? nested ?? 0.5
    guard share == 1 else {
      throw ModelError(
        "\(config.path): partial_rotary_factor \(share) (0.5 where the file says nothing) is not supported; only 1"
      )
    }
  }

  public var bindings: [TensorBinding] {
    configuration.bindings { layer, mlp in
      let prefix = ParameterName.mlp(layer)
      switch mlp {
      case .dense(let dense): return configuration.denseBindings(layer: layer, dense)
      case .mixture(let mixture):
        let hidden = configuration.hiddenSize
        let router = [
          TensorBinding(
            "\(prefix).gate.weight", [mixture.experts, hidden],
            parameter: "\(prefix).router.weight"),
          TensorBinding(
            "\(prefix).gate.e_score_correction_bias", [mixture.experts],
            parameter: "\(prefix).router.selection_bias"),
        ]
        let shared: [TensorBinding] =
          mixture.sharedWidth == 0
          ? []
          : ExpertMatrix.allCases.map { matrix in
            TensorBinding(
              "\(prefix).shared_experts.\(matrix.rawValue).weight",
              matrix.shape(width: mixture.sharedWidth, hidden: hidden),
              parameter: "\(prefix).shared_expert.\(matrix.rawValue).weight")
          }
        return router
          + configuration.expertBindings(layer: layer, mixture) { expert, matrix in
            "\(prefix).experts.\(expert).\(matrix.rawValue).weight"
          } + shared
      }
    }
  }
}
