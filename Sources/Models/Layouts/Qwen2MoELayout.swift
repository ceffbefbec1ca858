import Formats
import Numerics

/// Qwen2-MoE: softmax over all experts, renormalised on request, and a sigmoid-gated shared expert.
public struct Qwen2MoELayout: CheckpointLayout {
  public static let modelTypes = ["qwen2_moe"]
  public let configuration: ModelConfiguration

  public init(_ config: ConfigurationFile) throws {
    let base = try LlamaFields(config)
    let renormalized = try config.bool("norm_topk_prob", default: false)
    let shared = try config.integer("shared_expert_intermediate_size", default: 0)
    let mixture = MixtureConfiguration(
      experts: try config.positive("num_experts", maximum: ModelLimits.experts),
      topK: try config.positive("num_experts_per_tok"),
      expertWidth: try config.positive("moe_intermediate_size"), sharedWidth: shared,
      combination: renormalized ? .renormalizedSoftmax(scale: 1) : .softmax(scale: 1),
      sharedGate: shared > 0, foldedScale: try config.foldedScale())
    try mixture.validate(config)
    let dense = MLPConfiguration.dense(
      DenseConfiguration(width: try config.integer("intermediate_size", default: 1)))
    let onlyDense = Set(try config.integers("mlp_only_layers", default: []))
    let step = try config.integer("decoder_sparse_step", default: 1)
    configuration = base.model(
      blocks: (0..<base.layers).map { layer in
        let sparse = step > 0 && (layer + 1) % step == 0 && !onlyDense.contains(layer)
        return BlockConfiguration(
          mixer: .attention(base.attention), mlp: sparse ? .mixture(mixture) : dense)
      })
  }

  public var bindings: [TensorBinding] {
    configuration.bindings { layer, mlp in
      let prefix = ParameterName.mlp(layer)
      switch mlp {
      case .dense(let dense): return configuration.denseBindings(layer: layer, dense)
      case .mixture(let mixture):
        let router = TensorBinding(
          "\(prefix).gate.weight", [mixture.experts, configuration.hiddenSize],
          parameter: "\(prefix).router.weight")
        let gate = TensorBinding(
          "\(prefix).shared_expert_gate.weight", [1, configuration.hiddenSize])
        return [router]
          + configuration.expertBindings(layer: layer, mixture) { expert, matrix in
            "\(prefix).experts.\(expert).\(matrix.rawValue).weight"
          } + configuration.sharedBindings(layer: layer, mixture)
          + (mixture.sharedGate ? [gate] : [])
      }
    }
  }
}
