import Formats

/// `glm4_moe`: sigmoid scores, a bias that only chooses experts, renormalised or not, times a factor;
/// shared units without a gate; leading layers may be dense.
public struct Glm4MoEOutput: OutputLayout {
  public let name = OutputFormat.glm4_moe
  public let holdsRouterBias = false

  /// The layout; it has no settings.
  public init() {}

  public func refusal(of model: MixtureModel) -> String? {
    if let refusal = StockOutput.attentionRefusal(model) { return refusal }
    guard let (_, block) = Self.leading(model) else {
      return model.denseLayers.count == model.blocks.count
        ? StockOutput.noExperts
        : "its layers differ otherwise than by leading dense ones; use --format herd"
    }
    if let refusal = StockOutput.mixtureRefusal(model) { return refusal }
    if !block.rule.isOfSigmoids {
      return "its weights are sigmoids of the scores; use --format granitemoeshared, mixtral or "
        + "qwen2_moe for a softmax, or --combination renormalized_sigmoid"
    }
    if let refusal = StockOutput.biasRefusal(block) { return refusal }
    if block.geometry.experts < 2 { return "it has at least two experts; use --format herd" }
    if !model.biasedProjections.isEmpty, model.biasedProjections != ["q", "k", "v"] {
      return "its attention has biases on q, k and v, or none; use --format herd"
    }
    if !StockOutput.hasFullAttention(model) {
      return "it has no sliding-window attention; use --format herd"
    }
    return nil
  }

  /// How many leading layers are dense, and the block of all others; `nil` for other models.
  private static func leading(_ model: MixtureModel) -> (dense: Int, block: MixtureBlock)? {
    let dense = model.blocks.prefix { $0 == nil }.count
    guard dense < model.blocks.count, let block = model.blocks[dense],
      model.blocks[dense...].allSatisfy({ $0 == block })
    else { return nil }
    return (dense, block)
  }

  public func layer(_ index: Int, of model: MixtureShape) -> LayerLayout {
    let prefix = "model.layers.\(index).mlp."
    let block = model.block
    let geometry = block.geometry
    var layout = LayerLayout(model)
    layout.place(.router, prefix + "gate.weight")
    let bias = prefix + "gate.e_score_correction_bias"
    if block.hasSelectionBias {
      layout.place(.selectionBias, bias)
    } else {
      layout.placeZeros(bias, shape: [geometry.experts], elementType: .f32)
    }
    for expert in 0..<geometry.experts {
      for projection in Projection.allCases {
        layout.place(
          .expert(expert, projection),
          prefix + "experts.\(expert).\(projection.rawValue)_proj.weight")
      }
    }
    for projection in Projection.allCases {
      let name = prefix + "shared_experts.\(projection.rawValue)_proj.weight"
      if geometry.shared > 0 {
        layout.place(.shared(projection), name)
      } else {
        // There is always a shared expert; one of zeros adds nothing.
        layout.placeZeros(
          name, shape: MixtureTensor.expert(0, projection).shape(in: block, hidden: model.hidden))
      }
    }
    return layout
  }

  public func configuration(of model: MixtureModel) throws -> ConfigurationFile {
    var configuration = StockOutput.configuration(
      of: model, architecture: "Glm4MoeForCausalLM", modelType: name.rawValue)
    guard let (dense, block) = Self.leading(model) else { return configuration }
    for key in ["sliding_window", "use_sliding_window", "max_window_layers"] {
      configuration[key] = nil
    }
    configuration["attention_bias"] = .bool(!model.biasedProjections.isEmpty)
    configuration["head_dim"] = JSON(model.headDimension)
    configuration["n_routed_experts"] = JSON(block.geometry.experts)
    configuration["num_experts_per_tok"] = JSON(block.geometry.topK)
    configuration["moe_intermediate_size"] = JSON(block.geometry.expertWidth)
    configuration["n_shared_experts"] = JSON(max(1, block.geometry.shared))
    configuration["norm_topk_prob"] = .bool(block.rule == .renormalizedSigmoid)
    configuration["routed_scaling_factor"] = JSON(block.scale)
    // Readers' defaults are those of GLM-4.5: half the channels rotated, one dense layer first,
    // layers that predict several tokens behind the last.
    configuration["partial_rotary_factor"] = 1.0
    configuration["first_k_dense_replace"] = JSON(dense)
    configuration["num_nextn_predict_layers"] = 0
    configuration["use_qk_norm"] = false
    configuration["n_group"] = 1
    configuration["topk_group"] = 1
    StockOutput.addRouterFields(&configuration, foldedScale: 1)
    return configuration
  }
}
