import Formats
import Numerics

/// HGRN2 as flash-linear-attention writes it (`hgrn2`): outputs scaled by `1/√d` before their norm, and
/// SwiGLU MLPs.
public struct HGRN2Layout: CheckpointLayout {
  public static let modelTypes = ["hgrn2"]
  public let configuration: ModelConfiguration

  public init(_ config: ConfigurationFile) throws {
    guard config.contains("hidden_size") else {
      throw ModelError(
        "\(config.path): hgrn2 models are read as flash-linear-attention (hidden_size) or hgru2-pytorch (decoder_embed_dim) write them, and the file has neither field"
      )
    }
    try Self.refuseOtherKinds(config)
    let hidden = try config.positive("hidden_size")
    let layers = try config.positive("num_hidden_layers", maximum: ModelLimits.layers)
    let (heads, dimension) = try Self.heads(config, hidden: hidden)
    let hasBounds = try config.bool("use_lower_bound", default: true)
    let mlp = MLPConfiguration.dense(
      DenseConfiguration(width: try Self.width(config, hidden: hidden)))
    let epsilon = try config.double("norm_eps", default: 1e-6)
    guard epsilon >= 0 else {
      throw ConfigurationError(
        path: config.path, key: "norm_eps", expected: "a number from 0 up", found: "\(epsilon)")
    }
    let blocks = try (0..<layers).map { layer in
      var mixer = LinearMixerConfiguration.hgrn2(
        heads: heads, dimension: dimension, layer: layer, layers: layers)
      mixer.scale = Self.scale(dimension: dimension)
      if !hasBounds { mixer.decay = .channelGate(lowerBound: nil, temperature: 1) }
      if let refusal = mixer.refusal { throw ModelError("\(config.path): \(refusal)") }
      return BlockConfiguration(mixer: .linear(mixer), mlp: mlp)
    }
    configuration = ModelConfiguration(
      vocabularySize: try config.positive("vocab_size"), hiddenSize: hidden, normEpsilon: epsilon,
      tiedEmbeddings: try config.bool("tie_word_embeddings", default: false),
      maximumPositions: config.contains("max_position_embeddings")
        ? try config.positive("max_position_embeddings", maximum: 1 << 30) : 2048, blocks: blocks)
  }

  /// What outputs are multiplied by before their norm.
  public static func scale(dimension: Int) -> Double { 1 / Double(dimension).squareRoot() }

  private static func refuseOtherKinds(_ config: ConfigurationFile) throws {
    for (key, kept) in [("use_short_conv", false), ("elementwise_affine", true)] {
      guard try config.bool(key, default: kept) == kept else {
        throw ModelError("\(config.path): \(key) \(!kept) is not supported; only \(kept) is")
      }
    }
    guard try config.optionalSection("attn") == nil else {
      throw ModelError(
        "\(config.path): softmax layers of a hybrid (\"attn\") are not supported in hgrn2 models")
    }
    let activation = try config.string("hidden_act", default: "swish")
    guard ["silu", "swish"].contains(activation) else {
      throw ConfigurationError(
        path: config.path, key: "hidden_act", expected: "swish", found: activation)
    }
  }

  private static func heads(
    _ config: ConfigurationFile, hidden: Int
  ) throws -> (heads: Int, dimension: Int) {
    let known = try config.optionalInteger("num_heads")
    // A ratio of null follows from the heads, one that is left out is 128.
    let ratio =
      config["expand_ratio"] == nil ? 128 : try config.optionalInteger("expand_ratio")
    for (key, value) in [("num_heads", known), ("expand_ratio", ratio)] {
      guard let value, !(1...1 << 16).contains(value) else { continue }
      throw ConfigurationError(
        path: config.path, key: key, expected: "an integer from 1 to 65536", found: "\(value)")
    }
    let heads = known ?? ratio.map { hidden / $0 } ?? 0
    let dimension = ratio ?? known.map { hidden / $0 } ?? 0
    guard heads * dimension == hidden, heads > 0 else {
      throw ModelError(
        "\(config.path): heads of expand_ratio \(dimension) do not divide hidden_size \(hidden)"
          + (known.map { " into num_heads \($0)" } ?? ""))
    }
    return (heads, dimension)
  }

  /// Neurons of an MLP: two thirds of the ratio, up to the next multiple of 256, unless given.
  private static func width(_ config: ConfigurationFile, hidden: Int) throws -> Int {
    if config.contains("intermediate_size") { return try config.positive("intermediate_size") }
    let ratio = config.contains("hidden_ratio") ? try config.positive("hidden_ratio") : 4
    return (hidden * ratio * 2 / 3 + 255) / 256 * 256
  }

  public var bindings: [TensorBinding] {
    let hidden = configuration.hiddenSize
    func tensor(_ name: String, _ shape: [Int], _ parameter: String) -> TensorBinding {
      TensorBinding(name, shape, parameter: parameter)
    }
    var result = [
      tensor(
        "model.embeddings.weight", [configuration.vocabularySize, hidden], ParameterName.embedding)
    ]
    if let shape = configuration.lowerBoundShape {
      result.append(TensorBinding(ParameterName.lowerBounds, shape))
    }
    for (layer, block) in configuration.blocks.enumerated() {
      let prefix = ParameterName.block(layer)
      result.append(
        tensor("\(prefix).attn_norm.weight", [hidden], "\(prefix).input_layernorm.weight"))
      for (name, own) in [("q", "q"), ("f", "f"), ("i", "v"), ("o", "o")] {
        result.append(
          tensor(
            "\(prefix).attn.\(name)_proj.weight", [hidden, hidden],
            "\(prefix).self_attn.\(own)_proj.weight"))
      }
      result += [
        tensor("\(prefix).attn.g_norm.weight", [hidden], "\(prefix).self_attn.o_norm.weight"),
        tensor("\(prefix).mlp_norm.weight", [hidden], "\(prefix).post_attention_layernorm.weight"),
      ]
      if case .dense(let dense) = block.mlp {
        result += configuration.denseBindings(layer: layer, dense)
      }
    }
    result.append(TensorBinding(ParameterName.finalNorm, [hidden]))
    if !configuration.tiedEmbeddings {
      result.append(TensorBinding(ParameterName.head, [configuration.vocabularySize, hidden]))
    }
    return result
  }

  public var foreignFields: [String]? {
    [
      "attn", "attn_mode", "conv_size", "elementwise_affine", "expand_ratio", "fuse_cross_entropy",
      "fuse_norm", "fuse_swiglu", "hidden_ratio", "norm_eps", "num_heads", "use_lower_bound",
      "use_short_conv", "fuse_linear_cross_entropy", "use_l2warp",
    ]
  }
}
