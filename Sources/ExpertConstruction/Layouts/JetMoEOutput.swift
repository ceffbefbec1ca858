import Formats
import Models
import Numerics

/// `jetmoe`: attention experts over shared keys and values and MLP experts, as many of either;
/// top-k of the scores, softmax over the chosen ones.
///
/// Attention is put together from pieces of the projections, so it is written by exports only.
public struct JetMoEOutput: OutputLayout {
  public let name = OutputFormat.jetmoe
  public let holdsRouterBias = false
  public let movesAttention = true

  /// The layout; it has no settings.
  public init() {}

  public func refusal(of model: MixtureModel) -> String? {
    guard model.denseLayers.isEmpty, let block = model.uniformBlock else {
      return "its layers all have MLP experts of one kind; use --format herd"
    }
    if let refusal = attentionRefusal(model, block) { return refusal }
    if let refusal = StockOutput.mixtureRefusal(model) { return refusal }
    if block.hasSelectionBias { return StockOutput.selectionRefusal }
    if block.rule == .gained, !model.gainsAreZero {
      return "weights 1 + p·u with trained u exist in no stock format; use --format herd"
    }
    if block.rule != .gained, block.rule != .renormalizedSoftmax {
      return "its weights are a softmax over the chosen scores; use --format herd"
    }
    if block.geometry.shared > 0 {
      return "it has no shared units; use --format herd, or --shared 0"
    }
    if let refusal = StockOutput.biasRefusal(block) { return refusal }
    return fieldRefusal(model)
  }

  private func attentionRefusal(_ model: MixtureModel, _ block: MixtureBlock) -> String? {
    if let refusal = model.mixerRefusal ?? model.additionRefusal { return refusal }
    let mixtures = model.attention.compactMap { $0 }
    guard let mixture = mixtures.first, mixtures.count == model.blocks.count,
      mixtures.allSatisfy({ $0 == mixture }), mixture.kind == .moa
    else {
      return "all its attention is made of experts of whole query heads, as --attention moa makes "
        + "them; use --format mixtral or granitemoeshared for dense attention, herd for others"
    }
    guard mixture.experts == block.geometry.experts, mixture.topK == block.geometry.topK else {
      return "it has one number of experts and one top-k for attention and MLPs, here "
        + "\(mixture.experts) top-\(mixture.topK) and \(block.geometry.experts) "
        + "top-\(block.geometry.topK); convert with --experts \(mixture.experts) --top-k "
        + "\(mixture.topK), or use --format herd"
    }
    if mixture.routerBias || mixture.selectionBias {
      return "its attention routers have no bias; use --router random, or --format herd"
    }
    guard case .renormalizedSoftmax = mixture.combination else {
      return "its attention weights are a softmax over the chosen scores; use --format herd"
    }
    return nil
  }

  /// What its configuration cannot say.
  private func fieldRefusal(_ model: MixtureModel) -> String? {
    if !model.biasedProjections.isEmpty {
      return "it has no biases on attention projections; use --format herd"
    }
    if !StockOutput.hasFullAttention(model) {
      return "it has no sliding-window attention; use --format herd"
    }
    let stock = StockOutput.configuration(of: model, architecture: "", modelType: "")
    if let scaling = stock["rope_scaling"], !scaling.isNull {
      return "not every version of it stretches rotary positions; use --format herd"
    }
    let epsilon = model.configuration["rms_norm_eps"]?.double ?? 1e-6
    if epsilon != JetMoELayout.normEpsilon {
      return "the norms inside its layers have ε \(JetMoELayout.normEpsilon) whatever rms_norm_eps "
        + "says, here \(epsilon); use --format herd"
    }
    return nil
  }

  public func layer(_ index: Int, of model: MixtureShape) -> LayerLayout {
    let block = model.block
    let geometry = block.geometry
    let prefix = "model.layers.\(index).mlp."
    var layout = LayerLayout(model)
    layout.place(
      .router, prefix + "router.layer.weight",
      scale: block.rule == .gained && geometry.topK > 1 ? GraniteMoESharedOutput.flattening : 1)
    layout.place(
      (0..<geometry.experts).flatMap { [.expert($0, .gate), .expert($0, .up)] },
      prefix + "input_linear.weight",
      shape: [geometry.experts, 2 * geometry.expertWidth, model.hidden])
    layout.place(
      (0..<geometry.experts).map { .expert($0, .down) }, prefix + "output_linear.weight",
      shape: [geometry.experts, model.hidden, geometry.expertWidth],
      scale: GraniteMoESharedOutput.downScale(block))
    return layout
  }

  /// What the attention's output projections are multiplied by.
  private func attentionScale(_ model: MixtureModel) -> Double {
    guard case .renormalizedSoftmax(let scale)? = model.attention.first??.combination else {
      return 1
    }
    return scale
  }

  public func movedScale(of parameter: String, in model: MixtureModel) -> Double {
    parameter.hasSuffix(".o_proj.weight") ? attentionScale(model) : 1
  }

  public func configuration(of model: MixtureModel) throws -> ConfigurationFile {
    var configuration = StockOutput.configuration(
      of: model, architecture: "JetMoeForCausalLM", modelType: name.rawValue)
    guard let block = model.uniformBlock, let attention = model.attention.first ?? nil else {
      return configuration
    }
    for key in [
      "num_attention_heads", "head_dim", "hidden_act", "attention_bias", "sliding_window",
      "use_sliding_window", "max_window_layers", "rope_scaling",
    ] { configuration[key] = nil }
    configuration["num_key_value_heads"] = JSON(model.heads / attention.experts)
    configuration["kv_channels"] = JSON(model.headDimension)
    configuration["activation_function"] = "silu"
    configuration["rms_norm_eps"] = JSON(JetMoELayout.normEpsilon)
    // Its default is true, LLaMA's is false.
    configuration["tie_word_embeddings"] = model.configuration["tie_word_embeddings"] ?? false
    configuration["intermediate_size"] = JSON(block.geometry.expertWidth)
    configuration["num_local_experts"] = JSON(block.geometry.experts)
    configuration["num_experts_per_tok"] = JSON(block.geometry.topK)
    configuration["aux_loss_coef"] = 0.001
    configuration["output_router_logits"] = false
    configuration["herd_export"] = [
      "folded_scale": JSON(GraniteMoESharedOutput.downScale(block)),
      "attention_folded_scale": JSON(attentionScale(model)),
    ]
    return configuration
  }
}
