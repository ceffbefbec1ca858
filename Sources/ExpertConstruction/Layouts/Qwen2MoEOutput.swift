import Formats

/// `qwen2_moe`: softmax over all experts, top-k, renormalised or not; one gated shared expert.
///
/// The shared expert's gate is a sigmoid; a gate of zeros is exactly one half, which twice the down
/// projection makes up for.
public struct Qwen2MoEOutput: OutputLayout {
  public let name = OutputFormat.qwen2_moe
  public let holdsRouterBias = false

  /// The layout; it has no settings.
  public init() {}

  public func refusal(of model: MixtureModel) -> String? {
    if let refusal = StockOutput.refusal(of: model, holdsDenseLayers: true) { return refusal }
    guard let block = model.uniformBlock else { return nil }
    if let refusal = StockOutput.biasRefusal(block) { return refusal }
    if let refusal = StockOutput.sigmoidRefusal(block) { return refusal }
    if let refusal = StockOutput.headRefusal(model) { return refusal }
    if block.geometry.shared == 0 {
      return "it always has a shared expert; use --format mixtral, or --shared 1"
    }
    if model.biasedProjections.contains("o") {
      return "it has no bias on the attention output; use --format granitemoeshared"
    }
    if !StockOutput.hasFullAttention(model) {
      return "its sliding window is set per layer range; use --format herd or mixtral"
    }
    if block.rule == .gained, block.geometry.topK > 1 {
      return "its weights sum to at most one, so top-\(block.geometry.topK) cannot have weight one "
        + "each; use --format granitemoeshared"
    }
    return nil
  }

  public func layer(_ index: Int, of model: MixtureShape) -> LayerLayout {
    let prefix = "model.layers.\(index).mlp."
    let block = model.block
    var layout = LayerLayout(model)
    layout.place(.router, prefix + "gate.weight")
    for expert in 0..<block.geometry.experts {
      for projection in Projection.allCases {
        layout.place(
          .expert(expert, projection),
          prefix + "experts.\(expert).\(projection.rawValue)_proj.weight",
          scale: projection == .down ? block.scale : 1)
      }
    }
    for projection in Projection.allCases {
      layout.place(
        .shared(projection), prefix + "shared_expert.\(projection.rawValue)_proj.weight",
        scale: projection == .down ? 2 : 1)
    }
    layout.placeZeros(prefix + "shared_expert_gate.weight", shape: [1, model.hidden])
    return layout
  }

  /// Older readers always have biases on q, k and v, so they are written even where they are zero.
  public func additionalZeros(in model: MixtureModel) -> [TensorDeclaration] {
    guard model.biasedProjections.isDisjoint(with: ["q", "k", "v"]) else { return [] }
    let keyHeads = model.configuration["num_key_value_heads"]?.int ?? model.heads
    return model.blocks.indices.flatMap { layer in
      [("q", model.heads), ("k", keyHeads), ("v", keyHeads)].map { projection, heads in
        TensorDeclaration(
          name: "model.layers.\(layer).self_attn.\(projection)_proj.bias",
          elementType: model.elementType, shape: [heads * model.headDimension])
      }
    }
  }

  public func configuration(of model: MixtureModel) throws -> ConfigurationFile {
    var configuration = StockOutput.configuration(
      of: model, architecture: "Qwen2MoeForCausalLM", modelType: name.rawValue)
    guard let block = model.uniformBlock else { return configuration }
    configuration["attention_bias"] = nil
    configuration["qkv_bias"] = true
    configuration["use_sliding_window"] = false
    configuration["num_experts"] = JSON(block.geometry.experts)
    configuration["num_experts_per_tok"] = JSON(block.geometry.topK)
    configuration["moe_intermediate_size"] = JSON(block.geometry.expertWidth)
    configuration["shared_expert_intermediate_size"] = JSON(block.geometry.sharedWidth)
    configuration["norm_topk_prob"] = .bool(block.rule != .softmax)
    configuration["decoder_sparse_step"] = 1
    configuration["mlp_only_layers"] = .array(model.denseLayers.map { JSON($0) })
    if !model.denseLayers.isEmpty, let width = model.denseWidth {
      configuration["intermediate_size"] = JSON(width)
    }
    StockOutput.addRouterFields(&configuration, foldedScale: block.scale)
    return configuration
  }
}
