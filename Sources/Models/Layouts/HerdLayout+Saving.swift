import Formats

extension HerdLayout {
  /// The `config.json` with which a model of a format that is only read is saved.
  ///
  /// - Parameters:
  ///   - layout: The format it was read in; all its softmax layers have the same heads.
  ///   - source: The `config.json` it was read with; what both formats have stays as it is.
  public static func config(
    for layout: any CheckpointLayout, from source: ConfigurationFile
  ) -> ConfigurationFile {
    let model = layout.configuration
    var config = source
    for key in (layout.foreignFields ?? []) + ["auto_map", "sliding_window"] { config[key] = nil }
    config["architectures"] = ["HerdForCausalLM"]
    config["model_type"] = "herd"
    setAdditions(of: model, in: &config.object)
    for (key, value) in sizes(of: model) where !config.contains(key) { config[key] = value }
    var base = "llama"
    let softmax = model.blocks.compactMap { block in
      if case .attention(let attention) = block.mixer { attention } else { nil }
    }
    if let attention = softmax.first {
      config["num_key_value_heads"] = JSON(attention.keyHeads)
      if config["rope_parameters"]?["rope_theta"] == nil, !config.contains("rope_theta") {
        config["rope_theta"] = JSON(attention.rope.theta)
      }
      if let window = attention.window {
        base = "mistral"
        config["sliding_window"] = JSON(window)
      }
    }
    if let width = model.blocks.first?.mlp.totalWidth {
      config["intermediate_size"] = JSON(width)
    }
    config["herd"] = [
      "format_version": 1, "base_model_type": JSON(base),
      "blocks": .array(
        model.blocks.map { ["mixer": $0.mixer.json, "mlp": $0.mlp.json] }),
    ]
    return config
  }

  /// Fields of LLaMA that other formats call otherwise or leave out.
  private static func sizes(of model: ModelConfiguration) -> [(String, JSON)] {
    var (heads, dimension) = (1, model.hiddenSize)
    switch model.blocks.first?.mixer {
    case .attention(let attention):
      (heads, dimension) = (attention.heads, attention.headDimension)
    case .linear(let linear): (heads, dimension) = (linear.heads, linear.keyDimension)
    case nil: break
    }
    return [
      ("hidden_size", JSON(model.hiddenSize)), ("num_hidden_layers", JSON(model.blocks.count)),
      ("num_attention_heads", JSON(heads)), ("num_key_value_heads", JSON(heads)),
      // Softmax layers, which need an even number, may have none.
      ("head_dim", JSON(dimension + dimension % 2)), ("vocab_size", JSON(model.vocabularySize)),
      ("rms_norm_eps", JSON(model.normEpsilon)), ("hidden_act", "silu"),
      ("tie_word_embeddings", .bool(model.tiedEmbeddings)),
      ("max_position_embeddings", JSON(model.maximumPositions)),
    ]
  }
}

extension MLPConfiguration {
  /// All neurons, used or not.
  fileprivate var totalWidth: Int {
    switch self {
    case .dense(let dense): dense.width
    case .mixture(let mixture): mixture.experts * mixture.expertWidth + mixture.sharedWidth
    }
  }
}
