import Formats
import Models

/// The `config.json` of a dense model made from that of a mixture.
enum DenseConfigurationFile {
  private static let architectures = [
    "llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM",
  ]

  /// Fields that only mixtures have.
  private static let mixtureFields = [
    "herd", "herd_export", "num_local_experts", "num_experts", "n_routed_experts",
    "num_experts_per_tok", "n_shared_experts", "num_nextn_predict_layers", "moe_intermediate_size",
    "shared_intermediate_size", "shared_expert_intermediate_size", "norm_topk_prob",
    "routed_scaling_factor", "n_group", "topk_group", "first_k_dense_replace", "use_qk_norm",
    "decoder_sparse_step", "mlp_only_layers", "qkv_bias", "router_aux_loss_coef", "aux_loss_coef",
    "output_router_logits", "router_jitter_noise", "embedding_multiplier", "attention_multiplier",
    "residual_multiplier", "logits_scaling", "kv_channels", "partial_rotary_factor",
    "activation_function",
  ]

  /// - Parameters:
  ///   - mixture: The mixture's fields.
  ///   - model: The mixture.
  ///   - width: Neurons of every dense MLP.
  ///   - hasInputBias: Whether the dense attention has biases on q, k and v.
  static func make(
    from mixture: ConfigurationFile, _ model: ModelConfiguration, width: Int, hasInputBias: Bool
  ) throws -> ConfigurationFile {
    var dense = mixture
    let type = try mixture.string("model_type")
    let herd = try mixture.optionalSection("herd")
    guard model.linearMixers.isEmpty else {
      throw ConstructionError(
        .refused,
        "\(mixture.path): some layers are linear attention, which no dense model of another format has"
      )
    }
    guard case .attention(let attention)? = model.blocks.first?.mixer else {
      throw ConstructionError(.refused, "\(mixture.path): the model has no layers")
    }
    if let additions = attention.additions {
      throw ConstructionError(
        .refused,
        "\(mixture.path): its softmax layers have \(additions), which no dense model of another format has"
      )
    }
    if let additions = model.llamaAdditions {
      throw ConstructionError(
        .refused,
        "\(mixture.path): the model has \(additions), which no dense model of another format has")
    }
    guard model.residual == nil else {
      throw ConstructionError(
        .refused,
        "\(mixture.path): its residual connections start behind the norms, which no dense model of another format has"
      )
    }
    let base: String
    if type == "herd" {
      base = try herd?.string("base_model_type", default: "llama") ?? "llama"
    } else if attention.window != nil {
      base = "mistral"
    } else {
      base = hasInputBias && !attention.outputBias ? "qwen2" : "llama"
    }
    for key in mixtureFields { dense[key] = nil }
    if type != "herd" {
      // Stock spellings of what LLaMA derives or spells otherwise.
      if base == "llama" { dense["attention_bias"] = .bool(hasInputBias) }
      dense["num_attention_heads"] = JSON(attention.heads)
      dense["num_key_value_heads"] = JSON(attention.keyHeads)
      dense["head_dim"] = JSON(attention.headDimension)
      dense["hidden_act"] = "silu"
    }
    dense["model_type"] = .string(base)
    dense["architectures"] = [.string(architectures[base] ?? "LlamaForCausalLM")]
    dense["intermediate_size"] = JSON(width)
    return dense
  }
}
