import Formats

/// `mixtral`: softmax over all experts, top-k, always renormalised; no shared units, no biases.
public struct MixtralOutput: OutputLayout {
  public let name = OutputFormat.mixtral
  public let holdsRouterBias = false

  /// The layout; it has no settings.
  public init() {}

  public func refusal(of model: MixtureModel) -> String? {
    if let refusal = StockOutput.refusal(of: model) { return refusal }
    guard let block = model.uniformBlock else { return nil }
    if block.geometry.shared > 0 {
      return "it has no shared units; use --format granitemoeshared, or --shared 0"
    }
    if let refusal = StockOutput.biasRefusal(block) { return refusal }
    if let refusal = StockOutput.sigmoidRefusal(block) { return refusal }
    if !model.biasedProjections.isEmpty {
      return "it has no attention biases; use --format qwen2_moe or granitemoeshared"
    }
    return Self.weightRefusal(block).map { "\($0.reason); use --format \($0.formats)" }
  }

  /// Why weights that are a softmax over the chosen experts cannot be those of `block`, and which formats
  /// have other weights.
  static func weightRefusal(_ block: MixtureBlock) -> (reason: String, formats: String)? {
    switch block.rule {
    case .gained where block.geometry.topK > 1:
      (
        "its weights always sum to one, so top-\(block.geometry.topK) cannot have weight one each",
        "granitemoeshared"
      )
    case .softmax: ("it always renormalises the chosen weights", "herd or qwen2_moe")
    case .gained, .renormalizedSoftmax, .sigmoid, .renormalizedSigmoid: nil
    }
  }

  public func layer(_ index: Int, of model: MixtureShape) -> LayerLayout {
    let prefix = "model.layers.\(index).block_sparse_moe."
    let block = model.block
    var layout = LayerLayout(model)
    layout.place(.router, prefix + "gate.weight")
    for expert in 0..<block.geometry.experts {
      let experts = prefix + "experts.\(expert)."
      layout.place(.expert(expert, .gate), experts + "w1.weight")
      layout.place(.expert(expert, .down), experts + "w2.weight", scale: block.scale)
      layout.place(.expert(expert, .up), experts + "w3.weight")
    }
    return layout
  }

  public func configuration(of model: MixtureModel) throws -> ConfigurationFile {
    var configuration = StockOutput.configuration(
      of: model, architecture: "MixtralForCausalLM", modelType: name.rawValue)
    guard let block = model.uniformBlock else { return configuration }
    configuration["attention_bias"] = nil
    configuration["intermediate_size"] = JSON(block.geometry.expertWidth)
    configuration["num_local_experts"] = JSON(block.geometry.experts)
    configuration["num_experts_per_tok"] = JSON(block.geometry.topK)
    if StockOutput.hasFullAttention(model) { configuration["sliding_window"] = .null }
    configuration["router_jitter_noise"] = 0.0
    StockOutput.addRouterFields(&configuration, foldedScale: block.scale)
    return configuration
  }
}
