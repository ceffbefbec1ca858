import Formats
import Models
import Numerics

/// Writes a model with random weights: the start of training from scratch.
struct ModelInitialization {
  let settings: InitializeSettings
  let seed: UInt64
  let tokenizer: TokenizerFiles

  /// Writes a complete checkpoint folder.
  func write(to path: String, in context: Context) throws {
    let output = try OutputFolder(path)
    for file in tokenizer.files {
      try Files.write(file.contents, to: output.path(of: file.name))
    }
    let config = ConfigurationFile(
      path: output.path(of: "config.json"),
      object: settings.config(
        vocabularySize: tokenizer.vocabularySize, beginOfText: tokenizer.beginOfText,
        endOfReply: tokenizer.endOfReply, asHerd: !settings.isLlama))
    try config.write(to: config.path)
    let layout = try CheckpointLayouts.layout(for: config)
    let shapes = layout.configuration.parameterShapes
    let parameters = shapes.enumerated().map { index, shape in
      Parameter(
        shape.name,
        context.tensor(
          settings.weights.values(of: index, in: shapes, layers: settings.layers, seed: seed),
          shape.shape))
    }
    let model = try LanguageModel(layout.configuration, parameters: parameters, in: context)
    try ModelWriter(layout: layout).write(
      model, to: output.stagingPath, elementType: .f32, in: context)
    try output.commit()
  }
}

extension InitializeSettings {
  /// The `config.json` of such a model.
  /// - Parameter asHerd: Whether it is in herd's own format, where it can be LLaMA's.
  func config(
    vocabularySize: Int, beginOfText: JSON = .null, endOfReply: JSON = .null, asHerd: Bool
  ) -> JSONObject {
    var config = llama
    config["vocab_size"] = JSON(vocabularySize)
    config["bos_token_id"] = beginOfText
    config["eos_token_id"] = endOfReply
    guard asHerd else { return config }
    let model = model(vocabularySize: vocabularySize)
    config["architectures"] = ["HerdForCausalLM"]
    config["model_type"] = "herd"
    HerdLayout.setAdditions(of: model, in: &config)
    config["herd"] = [
      "format_version": 1, "base_model_type": "llama",
      "architecture": JSON(architecture.rawValue),
      "blocks": .array(model.blocks.map { ["mixer": $0.mixer.json, "mlp": $0.mlp.json] }),
    ]
    return config
  }

  /// What a LLaMA of these sizes says of itself.
  private var llama: JSONObject {
    [
      "architectures": ["LlamaForCausalLM"], "attention_bias": false,
      "bos_token_id": .null, "eos_token_id": .null,
      "head_dim": JSON(hiddenSize / heads), "hidden_act": "silu",
      "hidden_size": JSON(hiddenSize), "initializer_range": .number(JSONNumber(0.02)),
      "intermediate_size": JSON(width),
      "max_position_embeddings": JSON(maximumPositions), "mlp_bias": false,
      "model_type": "llama", "num_attention_heads": JSON(heads),
      "num_hidden_layers": JSON(layers), "num_key_value_heads": JSON(keyHeads),
      "rms_norm_eps": .number(JSONNumber(architecture.normEpsilon)),
      "rope_theta": JSON(ropeTheta),
      "tie_word_embeddings": true, "torch_dtype": "float32",
      "vocab_size": .null,
    ]
  }
}
