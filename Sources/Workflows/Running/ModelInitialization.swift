import Data
import Formats
import Glibc
import Models
import Numerics

/// Writes a model with random weights: the start of training from scratch.
struct ModelInitialization {
  let settings: InitializeSettings
  let seed: UInt64
  /// The tokenizer files and the ids `config.json` names.
  let tokenizer: TrainedTokenizer

  /// Writes a complete checkpoint folder.
  func write(to path: String, in context: Context) throws {
    let output = try OutputFolder(path)
    for file in tokenizer.files(contextLength: settings.maximumPositions) {
      try Files.write(file.contents, to: output.path(of: file.name))
    }
    let config = ConfigurationFile(path: output.path(of: "config.json"), object: config)
    try config.write(to: config.path)
    let layout = try CheckpointLayouts.layout(for: config)
    let parameters = layout.configuration.parameterShapes.enumerated().map { index, shape in
      Parameter(shape.name, context.tensor(values(shape, index: index), shape.shape))
    }
    let model = try LanguageModel(layout.configuration, parameters: parameters, in: context)
    try ModelWriter(layout: layout).write(
      model, to: output.stagingPath, elementType: .f32, in: context)
    try output.commit()
  }

  /// Normal weights of deviation 0.02, narrower by √(2·layers) where they feed the residual stream
  /// (GPT-2's rule); gains of 1. Angles of LRPE are one geometric ladder over all heads; lower bounds
  /// start equal, l/L in layer l, and learned decays, selection biases and the like at 0.
  private func values(_ shape: ParameterShape, index: Int) -> [Float] {
    let count = shape.shape.reduce(1, *)
    if shape.name.hasSuffix(".lrpe.theta") {
      return (0..<count).map { Float(pow(10000, -2 * Double($0) / Double(count))) }
    }
    if shape.name == ParameterName.lowerBounds || shape.name.hasSuffix(".decay")
      || shape.name.hasSuffix("bias")
    {
      return [Float](repeating: 0, count: count)
    }
    if shape.name.hasSuffix("norm.weight") { return [Float](repeating: 1, count: count) }
    let feedsResidual = shape.name.contains("o_proj") || shape.name.contains("down_proj")
    let deviation = feedsResidual ? 0.02 / Double(2 * settings.layers).squareRoot() : 0.02
    var random = RandomStream(seed: seed, purpose: 0x1000 + UInt64(index))
    return (0..<count).map { _ in
      // Box and Muller's transform; 1 - u keeps the logarithm's argument positive.
      let radius = (-2 * log(1 - random.uniform())).squareRoot()
      return Float(deviation * radius * cos(2 * .pi * random.uniform()))
    }
  }

  private var config: JSONObject {
    var config = llama
    guard !settings.isLlama else { return config }
    let model = settings.model(vocabularySize: tokenizer.vocabularySize)
    config["architectures"] = ["HerdForCausalLM"]
    config["model_type"] = "herd"
    HerdLayout.setAdditions(of: model, in: &config)
    config["herd"] = [
      "format_version": 1, "base_model_type": "llama",
      "architecture": JSON(settings.architecture.rawValue),
      "blocks": .array(model.blocks.map { ["mixer": $0.mixer.json, "mlp": $0.mlp.json] }),
    ]
    return config
  }

  /// What a LLaMA of these sizes says of itself.
  private var llama: JSONObject {
    [
      "architectures": ["LlamaForCausalLM"], "attention_bias": false,
      "bos_token_id": id("<|begin_of_text|>"), "eos_token_id": id("<|eot_id|>"),
      "head_dim": JSON(settings.hiddenSize / settings.heads), "hidden_act": "silu",
      "hidden_size": JSON(settings.hiddenSize), "initializer_range": .number(JSONNumber(0.02)),
      "intermediate_size": JSON(settings.width),
      "max_position_embeddings": JSON(settings.maximumPositions), "mlp_bias": false,
      "model_type": "llama", "num_attention_heads": JSON(settings.heads),
      "num_hidden_layers": JSON(settings.layers), "num_key_value_heads": JSON(settings.keyHeads),
      "rms_norm_eps": .number(JSONNumber(settings.architecture.normEpsilon)),
      "rope_theta": JSON(settings.ropeTheta),
      "tie_word_embeddings": true, "torch_dtype": "float32",
      "vocab_size": JSON(tokenizer.vocabularySize),
    ]
  }

  private func id(_ token: String) -> JSON {
    tokenizer.id(ofSpecial: token).map { JSON($0) } ?? .null
  }
}
