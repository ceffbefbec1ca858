import Formats

/// Dense LLaMA (1, 2, 3, 3.1, 3.2), Mistral and Qwen2 checkpoints: settings of one block.
public struct LlamaLayout: CheckpointLayout {
  public static let modelTypes = ["llama", "mistral", "qwen2"]
  public let configuration: ModelConfiguration

  public init(_ config: ConfigurationFile) throws {
    let base = try LlamaFields(config)
    let mlp = MLPConfiguration.dense(
      DenseConfiguration(
        width: try config.positive("intermediate_size"),
        bias: try config.bool("mlp_bias", default: false)))
    configuration = base.model(everyMLP: mlp)
  }

  public var bindings: [TensorBinding] {
    configuration.bindings { layer, mlp in
      guard case .dense(let dense) = mlp else { return [] }
      return configuration.denseBindings(layer: layer, dense)
    }
  }
}
