import Formats
import Numerics

/// JetMoE: attention experts over shared keys and values (MoA), and MLP experts of the same number;
/// the softmax is over the chosen scores.
///
/// Expert m of the attention is the m-th query head of every key head. Its tensors are stacked by
/// expert, so a projection's rows and columns lie in pieces.
public struct JetMoELayout: CheckpointLayout {
  public static let modelTypes = ["jetmoe"]
  public let configuration: ModelConfiguration
  private let attention: AttentionConfiguration
  private let mixture: MixtureConfiguration

  /// The ε of the norms inside layers, which no field of the format sets.
  public static let normEpsilon = 1e-6

  public init(_ config: ConfigurationFile) throws {
    let experts = try config.positive("num_local_experts", maximum: ModelLimits.experts)
    let topK = try config.positive("num_experts_per_tok")
    let keyHeads = try config.positive("num_key_value_heads", maximum: 1 << 16)
    // The fields LLaMA has under other names or leaves to defaults.
    var fields = config
    fields["num_attention_heads"] = JSON(keyHeads * experts)
    fields["head_dim"] = JSON(try config.positive("kv_channels"))
    fields["hidden_act"] = .string(try config.string("activation_function", default: "silu"))
    fields["tie_word_embeddings"] = .bool(try config.bool("tie_word_embeddings", default: true))
    let epsilon = try config.double("rms_norm_eps", default: Self.normEpsilon)
    guard epsilon == Self.normEpsilon else {
      throw ModelError(
        "\(config.path): rms_norm_eps \(epsilon) is the last norm's only, those inside layers have \(Self.normEpsilon); herd has one for all"
      )
    }
    let base = try LlamaFields(fields)
    let combination = Combination.renormalizedSoftmax(scale: 1)
    var attention = base.attention
    attention.mixture = AttentionMixtureConfiguration(
      kind: .moa, experts: experts, topK: topK, combination: combination,
      foldedScale: try config.foldedScale(of: "attention"))
    let mixture = MixtureConfiguration(
      experts: experts, topK: topK, expertWidth: try config.positive("intermediate_size"),
      combination: combination, foldedScale: try config.foldedScale())
    try mixture.validate(config)
    self.attention = attention
    self.mixture = mixture
    configuration = base.model(
      blocks: Array(
        repeating: BlockConfiguration(mixer: .attention(attention), mlp: .mixture(mixture)),
        count: base.layers))
  }

  public var bindings: [TensorBinding] {
    let hidden = configuration.hiddenSize
    var result = [
      TensorBinding(ParameterName.embedding, [configuration.vocabularySize, hidden])
    ]
    for layer in configuration.blocks.indices {
      let block = ParameterName.block(layer)
      result.append(TensorBinding("\(block).input_layernorm.weight", [hidden]))
      result += attentionBindings(layer)
      result.append(TensorBinding("\(block).post_attention_layernorm.weight", [hidden]))
      result += mixtureBindings(layer)
    }
    result.append(TensorBinding(ParameterName.finalNorm, [hidden]))
    if !configuration.tiedEmbeddings {
      result.append(TensorBinding(ParameterName.head, [configuration.vocabularySize, hidden]))
    }
    return result
  }

  public var zeros: [TensorBinding] {
    configuration.blocks.indices.flatMap { layer in
      ["self_attention.experts.bias", "mlp.bias"].map {
        TensorBinding(
          "\(ParameterName.block(layer)).\($0)", [configuration.hiddenSize], parts: [])
      }
    }
  }

  private func mixtureBindings(_ layer: Int) -> [TensorBinding] {
    let (hidden, width) = (configuration.hiddenSize, mixture.expertWidth)
    let owner = ParameterName.mlp(layer)
    return [
      TensorBinding(
        "\(owner).router.layer.weight", [mixture.experts, hidden],
        parameter: "\(owner).router.weight"),
      TensorBinding(
        "\(owner).input_linear.weight", [mixture.experts, 2 * width, hidden],
        parts: (0..<mixture.experts).flatMap { expert in
          ["gate_proj", "up_proj"].map {
            .init(
              parameter: "\(owner).experts.\($0)", offset: expert * width * hidden,
              count: width * hidden)
          }
        }),
      TensorBinding(
        "\(owner).output_linear.weight", [mixture.experts, hidden, width],
        parameter: "\(owner).experts.down_proj"),
    ]
  }

  private func attentionBindings(_ layer: Int) -> [TensorBinding] {
    let hidden = configuration.hiddenSize
    let (keyHeads, dimension) = (attention.keyHeads, attention.headDimension)
    let (experts, width) = (mixture.experts, keyHeads * dimension)
    let own = "\(ParameterName.block(layer)).self_attn"
    let stored = "\(ParameterName.block(layer)).self_attention"
    let queries = (0..<experts).flatMap { expert in
      (0..<keyHeads).map { key in
        TensorBinding.Part(
          parameter: "\(own).q_proj.weight",
          offset: (key * experts + expert) * dimension * hidden, count: dimension * hidden)
      }
    }
    let outputs = (0..<experts).flatMap { expert in
      (0..<hidden).flatMap { row in
        (0..<keyHeads).map { key in
          TensorBinding.Part(
            parameter: "\(own).o_proj.weight",
            offset: (row * keyHeads * experts + key * experts + expert) * dimension,
            count: dimension)
        }
      }
    }
    return [
      TensorBinding(
        "\(stored).experts.router.layer.weight", [experts, hidden],
        parameter: "\(own).router.weight"),
      TensorBinding(
        "\(stored).experts.input_linear.weight", [experts, width, hidden], parts: queries),
      TensorBinding(
        "\(stored).experts.output_linear.weight", [experts, hidden, width], parts: outputs),
      TensorBinding(
        "\(stored).kv_proj.weight", [2 * width, hidden],
        parts: ["k_proj", "v_proj"].map {
          .init(parameter: "\(own).\($0).weight", offset: 0, count: width * hidden)
        }),
    ]
  }
}
