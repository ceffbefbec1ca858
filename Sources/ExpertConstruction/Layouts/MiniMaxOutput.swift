import Formats
import Models
import Numerics

/// `minimax`: MiniMax-01 as transformers has it, lightning and softmax layers with Mixtral's experts. A
/// dense MLP is one expert.
public struct MiniMaxOutput: OutputLayout {
  public let name = OutputFormat.minimax
  public let holdsRouterBias = false
  public let movesEverything = true

  /// The layout; it has no settings.
  public init() {}

  public func refusal(of model: MixtureModel) -> String? {
    if let refusal = mixerRefusal(model) ?? mlpRefusal(model) { return refusal }
    // Softmax attention of a conversion's source may become linear afterwards.
    if model.structure == nil, model.mixers.isEmpty { return nil }
    guard model.configuration.contains(NormalizedResidual.field) else {
      return
        "its residual connections start behind the norms, and this model's before them, as LLaMA's; "
        + "herd linearize --mixer minimax makes them so, or use --format herd"
    }
    return model.configuration.contains("tpe")
      ? LinearFormat.encodingRefusal : model.additionRefusal
  }

  private func mixerRefusal(_ model: MixtureModel) -> String? {
    let layers = model.mixers.count
    if let mixture = model.attention.lazy.compactMap({ $0 }).first {
      return
        "its attention is not made of experts, and this model's is (\(mixture.kind.rawValue)); "
        + "use --format herd"
    }
    if let structure = model.structure, structure.linearMixers.isEmpty {
      return "it is a format of linear attention, and all layers here are softmax; use another "
        + "--format, or herd linearize --mixer minimax"
    }
    if let refusal = LinearFormat.mixerRefusal(
      model.mixers,
      mixer: {
        .minimax(
          heads: model.heads, dimension: model.headDimension, layer: $0, layers: layers)
      })
    {
      return refusal
    }
    for (layer, mixer) in model.mixers.enumerated() {
      guard case .attention(let attention) = mixer, let additions = attention.additions else {
        continue
      }
      return
        "its softmax layers are LLaMA's, and layer \(layer) has \(additions); use --format herd"
    }
    return model.biasedProjections.isEmpty
      ? nil : "it has no attention biases; use --format herd"
  }

  private func mlpRefusal(_ model: MixtureModel) -> String? {
    if model.denseLayers.count == model.blocks.count {
      return model.structure.flatMap { LinearFormat.denseWidth($0, activation: .silu).refusal }
    }
    guard model.denseLayers.isEmpty, let block = model.uniformBlock else {
      return "its MLPs are all of one kind, and layers here differ; use --format herd"
    }
    if let refusal = StockOutput.mixtureRefusal(model) { return refusal }
    if block.geometry.shared > 0 {
      return "it has no shared units; use --format herd, or --shared 0"
    }
    if block.hasSelectionBias {
      return "experts are chosen with a balancing bias, which it has not; use --format herd"
    }
    if let refusal = StockOutput.biasRefusal(block) { return refusal }
    if block.rule.isOfSigmoids {
      return "its weights are a softmax of the scores, not their sigmoids; use --format herd"
    }
    if block.rule == .gained, !model.gainsAreZero {
      return "weights 1 + p·u with trained u exist in no stock format; use --format herd"
    }
    return MixtralOutput.weightRefusal(block).map { "\($0.reason); use --format herd" }
  }

  /// Never asked for: bindings say where everything is.
  public func layer(_ index: Int, of model: MixtureShape) -> LayerLayout { LayerLayout(model) }

  /// Routers of one expert each, whose weight is 1 whatever its score.
  public func additionalZeros(in model: MixtureModel) -> [TensorDeclaration] {
    model.denseLayers.map {
      TensorDeclaration(
        name: MiniMaxLayout.router($0), elementType: .f32, shape: [1, model.hidden])
    }
  }

  public func movedScale(of parameter: String, in model: MixtureModel) -> Double {
    parameter.hasSuffix(".experts.down_proj") ? model.uniformBlock?.scale ?? 1 : 1
  }

  public func configuration(of model: MixtureModel) throws -> ConfigurationFile {
    var configuration = StockOutput.configuration(
      of: model, architecture: "MiniMaxForCausalLM", modelType: name.rawValue)
    guard let structure = model.structure, let residual = structure.residual else {
      return configuration
    }
    let block = model.uniformBlock
    MiniMaxLayout.setFields(of: structure, residual, in: &configuration)
    for key in ["attention_bias", "use_sliding_window", "max_window_layers"] {
      configuration[key] = nil
    }
    if StockOutput.hasFullAttention(model) { configuration["sliding_window"] = .null }
    // Defaults differ from LLaMA's.
    configuration["head_dim"] = JSON(model.headDimension)
    configuration["rms_norm_eps"] = JSON(structure.normEpsilon)
    configuration["max_position_embeddings"] = JSON(structure.maximumPositions)
    configuration["num_key_value_heads"] =
      configuration["num_key_value_heads"] ?? JSON(model.heads)
    configuration["rope_theta"] = configuration["rope_theta"] ?? 10000.0
    configuration["intermediate_size"] = JSON(block?.geometry.expertWidth ?? model.denseWidth ?? 0)
    configuration["num_local_experts"] = JSON(block?.geometry.experts ?? 1)
    configuration["num_experts_per_tok"] = JSON(block?.geometry.topK ?? 1)
    configuration["router_jitter_noise"] = 0.0
    StockOutput.addRouterFields(&configuration, foldedScale: block?.scale ?? 1)
    return configuration
  }
}
