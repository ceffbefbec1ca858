import Formats
import Numerics

/// GraniteMoE with a shared MLP: softmax over the chosen experts, shared neurons always on.
public struct GraniteMoESharedLayout: CheckpointLayout {
  public static let modelTypes = ["granitemoeshared", "granitemoe"]
  public let configuration: ModelConfiguration

  public init(_ config: ConfigurationFile) throws {
    for key in ["embedding_multiplier", "residual_multiplier", "logits_scaling"] {
      let value = try config.double(key, default: 1)
      guard value == 1 else {
        throw ModelError(
          "\(config.path): \(key) \(value) is not supported; LLaMA-shaped checkpoints have 1.0")
      }
    }
    let base = try LlamaFields(config)
    let mixture = MixtureConfiguration(
      experts: try config.positive("num_local_experts", maximum: ModelLimits.experts),
      topK: try config.positive("num_experts_per_tok"),
      expertWidth: try config.positive("intermediate_size"),
      sharedWidth: try config.integer("shared_intermediate_size", default: 0),
      combination: .renormalizedSoftmax(scale: 1), foldedScale: try config.foldedScale())
    try mixture.validate(config)
    configuration = base.model(everyMLP: .mixture(mixture))
  }

  public var bindings: [TensorBinding] {
    configuration.bindings { layer, mlp in
      guard case .mixture(let mixture) = mlp else { return [] }
      let block = ParameterName.block(layer)
      let sparse = "\(block).block_sparse_moe"
      let (hidden, experts) = (configuration.hiddenSize, mixture.experts)
      let owner = "\(ParameterName.mlp(layer)).experts"
      var result = [
        TensorBinding(
          "\(sparse).router.layer.weight", [experts, hidden],
          parameter: "\(ParameterName.mlp(layer)).router.weight"),
        TensorBinding(
          "\(sparse).input_linear.weight", [experts, 2 * mixture.expertWidth, hidden],
          parts: interleaved(
            ["\(owner).gate_proj", "\(owner).up_proj"], chunk: mixture.expertWidth * hidden,
            times: experts)),
        TensorBinding(
          "\(sparse).output_linear.weight", [experts, hidden, mixture.expertWidth],
          parameter: "\(owner).down_proj"),
      ]
      if mixture.sharedWidth > 0 {
        let shared = "\(ParameterName.mlp(layer)).shared_expert"
        result.append(
          TensorBinding(
            "\(block).shared_mlp.input_linear.weight", [2 * mixture.sharedWidth, hidden],
            parts: interleaved(
              ["\(shared).gate_proj.weight", "\(shared).up_proj.weight"],
              chunk: mixture.sharedWidth * hidden, times: 1)))
        result.append(
          TensorBinding(
            "\(block).shared_mlp.output_linear.weight", [hidden, mixture.sharedWidth],
            parameter: "\(shared).down_proj.weight"))
      }
      return result
    }
  }

  /// Chunks of several parameters taken in turn.
  private func interleaved(_ parameters: [String], chunk: Int, times: Int) -> [TensorBinding.Part] {
    (0..<times).flatMap { index in
      parameters.map { .init(parameter: $0, offset: index * chunk, count: chunk) }
    }
  }
}
