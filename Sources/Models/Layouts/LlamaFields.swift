import Formats

/// The fields of `config.json` that every LLaMA-shaped checkpoint shares.
struct LlamaFields {
  let layers: Int
  let attention: AttentionConfiguration
  private let vocabularySize: Int
  private let hiddenSize: Int
  private let normEpsilon: Double
  private let tiedEmbeddings: Bool
  let maximumPositions: Int

  init(_ config: ConfigurationFile) throws {
    // Herd's own format says which dense architecture its attention comes from.
    let type =
      try config.optionalSection("herd")?.optionalString("base_model_type")
      ?? config.string("model_type")
    hiddenSize = try config.positive("hidden_size")
    layers = try config.positive("num_hidden_layers", maximum: ModelLimits.layers)
    vocabularySize = try config.positive("vocab_size")
    normEpsilon = try config.double("rms_norm_eps", default: 1e-6)
    guard normEpsilon >= 0 else {
      throw ConfigurationError(
        path: config.path, key: "rms_norm_eps", expected: "a number from 0 up",
        found: "\(normEpsilon)")
    }
    tiedEmbeddings = try config.bool("tie_word_embeddings", default: false)
    maximumPositions =
      config.contains("max_position_embeddings")
      ? try config.positive("max_position_embeddings", maximum: 1 << 30) : 2048
    let activation = try config.string("hidden_act", default: "silu")
    guard ["silu", "swish"].contains(activation) else {
      throw ModelError(
        "\(config.path): hidden_act \"\(activation)\" is not supported; experts are built from SwiGLU (silu)"
      )
    }
    attention = try Self.attention(config, type: type, hiddenSize: hiddenSize)
  }

  private static func attention(_ config: ConfigurationFile, type: String, hiddenSize: Int) throws
    -> AttentionConfiguration
  {
    let heads = try config.positive("num_attention_heads")
    let keyHeads = try config.integer("num_key_value_heads", default: heads)
    guard keyHeads > 0, keyHeads <= heads, heads % keyHeads == 0 else {
      throw ModelError(
        "\(config.path): num_key_value_heads \(keyHeads) does not divide num_attention_heads \(heads)"
      )
    }
    let dimension = try config.integer("head_dim", default: hiddenSize / heads)
    guard dimension > 0, dimension <= 1 << 16, dimension % 2 == 0 else {
      throw ModelError("\(config.path): head_dim \(dimension) must be positive and even")
    }
    // Qwen2 always has query/key/value biases and never an output bias; LLaMA has both or none.
    let bias = try config.bool("attention_bias", default: false)
    let qwen = type.hasPrefix("qwen2")
    let inputBias = qwen ? try config.bool("qkv_bias", default: true) : bias
    let multiplier = try config.optionalDouble("attention_multiplier")
    return AttentionConfiguration(
      heads: heads, keyHeads: keyHeads, headDimension: dimension, inputBias: inputBias,
      outputBias: qwen ? false : bias, rope: try RoPEConfiguration(config),
      scale: type.hasPrefix("granite") ? multiplier : nil, window: try window(config, type: type))
  }

  private static func window(_ config: ConfigurationFile, type: String) throws -> Int? {
    guard !["llama", "llama_moe"].contains(type) else { return nil }
    if type.hasPrefix("qwen2") {
      guard try config.bool("use_sliding_window", default: false) else { return nil }
      throw ModelError(
        "\(config.path): use_sliding_window mixes windowed and full layers, which is not supported; set it to false if the model is used below its window"
      )
    }
    return try config.optionalInteger("sliding_window")
  }

  /// The model whose blocks all have this MLP.
  func model(everyMLP mlp: MLPConfiguration) -> ModelConfiguration {
    let block = BlockConfiguration(mixer: .attention(attention), mlp: mlp)
    return model(blocks: Array(repeating: block, count: layers))
  }

  /// The model around the given blocks.
  func model(blocks: [BlockConfiguration]) -> ModelConfiguration {
    ModelConfiguration(
      vocabularySize: vocabularySize, hiddenSize: hiddenSize, normEpsilon: normEpsilon,
      tiedEmbeddings: tiedEmbeddings, maximumPositions: maximumPositions, blocks: blocks)
  }
}

extension RoPEConfiguration {
  /// Reads both spellings: `rope_theta` with `rope_scaling`, and `rope_parameters`.
  init(_ config: ConfigurationFile) throws {
    let nested = try config.optionalSection("rope_parameters")
    let scaling = try nested ?? config.optionalSection("rope_scaling")
    let theta =
      try nested.flatMap { $0.contains("rope_theta") ? try $0.positiveDouble("rope_theta") : nil }
      ?? config.positiveDouble("rope_theta", default: 10000)
    let factor = try config.optionalDouble("partial_rotary_factor") ?? 1
    guard factor == 1 else {
      throw ModelError("\(config.path): partial_rotary_factor \(factor) is not supported; only 1")
    }
    guard let scaling else {
      self.init(theta: theta)
      return
    }
    let kind = try scaling.optionalString("rope_type") ?? scaling.string("type", default: "default")
    switch kind {
    case "default": self.init(theta: theta)
    case "linear":
      self.init(theta: theta, scaling: .linear(factor: try scaling.positiveDouble("factor")))
    case "llama3":
      self.init(
        theta: theta,
        scaling: .llama3(
          factor: try scaling.positiveDouble("factor"),
          lowFactor: try scaling.positiveDouble("low_freq_factor"),
          highFactor: try scaling.positiveDouble("high_freq_factor"),
          originalPositions: try scaling.positive(
            "original_max_position_embeddings", maximum: 1 << 30)))
    default:
      throw ModelError(
        "\(config.path): rope scaling \"\(kind)\" is not supported; herd knows default, linear and llama3"
      )
    }
  }
}
