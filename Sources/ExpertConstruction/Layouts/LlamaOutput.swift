import Formats

/// The dense architecture that the source has, with MLPs of another width: for pruned models only.
public struct LlamaOutput: OutputLayout {
  public let name = OutputFormat.llama
  public let holdsRouterBias = false

  /// The layout; it has no settings.
  public init() {}

  public func refusal(of model: MixtureModel) -> String? {
    if let refusal = StockOutput.attentionRefusal(model) { return refusal }
    guard model.denseLayers.count == model.blocks.count else {
      return "it has no experts, only --strategy prune makes what it holds; use --format herd"
    }
    guard model.denseWidth != nil else {
      return "all its MLPs have one width, and some layers here stay as wide as they were; use "
        + "--format herd, or leave --keep-dense out"
    }
    return nil
  }

  /// Never asked for: all its layers are dense.
  public func layer(_ index: Int, of model: MixtureShape) -> LayerLayout { LayerLayout(model) }

  public func configuration(of model: MixtureModel) throws -> ConfigurationFile {
    let architecture =
      switch model.modelType {
      case "mistral": "MistralForCausalLM"
      case "qwen2": "Qwen2ForCausalLM"
      default: "LlamaForCausalLM"
      }
    var configuration = StockOutput.configuration(
      of: model, architecture: architecture, modelType: model.modelType)
    if let width = model.denseWidth { configuration["intermediate_size"] = JSON(width) }
    return configuration
  }
}
