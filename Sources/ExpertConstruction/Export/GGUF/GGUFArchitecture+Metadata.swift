import Formats
import Models

extension GGUFArchitecture {
  /// Sizes and rules under the architecture's own keys.
  func metadata(of model: ModelConfiguration) throws -> [(key: String, value: GGUFValue)] {
    var result: [(key: String, value: GGUFValue)] = [
      ("general.architecture", .string(name.rawValue)), ("general.type", .string("model")),
    ]
    func add(_ key: String, _ value: GGUFValue) {
      result.append(("\(name.rawValue).\(key)", value))
    }
    func count(_ key: String, _ value: Int) throws { add(key, try .count(value, key)) }
    try count("vocab_size", model.vocabularySize)
    try count("context_length", model.maximumPositions)
    try count("embedding_length", model.hiddenSize)
    try count("block_count", model.blocks.count)
    try count(
      "feed_forward_length", dense?.width ?? mixture.map(\.expertWidth) ?? 0)
    try count("attention.head_count", attention.heads)
    try count("attention.head_count_kv", attention.keyHeads)
    try count("attention.key_length", attention.headDimension)
    try count("attention.value_length", attention.headDimension)
    add("attention.layer_norm_rms_epsilon", .f32(Float(model.normEpsilon)))
    try count("rope.dimension_count", attention.headDimension)
    add("rope.freq_base", .f32(Float(attention.rope.theta)))
    if case .linear(let factor) = attention.rope.scaling {
      add("rope.scaling.type", .string("linear"))
      add("rope.scaling.factor", .f32(Float(factor)))
    }
    if let mixture {
      try count("expert_count", mixture.experts)
      try count("expert_used_count", mixture.topK)
      try addRules(mixture, count, add)
    }
    return result
  }

  private func addRules(
    _ mixture: MixtureConfiguration, _ count: (String, Int) throws -> Void,
    _ add: (String, GGUFValue) -> Void
  ) throws {
    switch name {
    case .llama: break
    case .granitemoe:
      try count("expert_shared_feed_forward_length", sharedWidth)
      for key in ["logit_scale", "residual_scale", "embedding_scale"] { add(key, .f32(1)) }
      add("attention.scale", .f32(Float(attention.scale)))
    case .glm4moe:
      try count("expert_feed_forward_length", mixture.expertWidth)
      try count("expert_shared_count", sharedWidth / mixture.expertWidth)
      try count("leading_dense_block_count", denseLayers)
      add("expert_gating_func", .u32(gating.rawValue))
      add("expert_weights_norm", .bool(normalizes))
      add("expert_weights_scale", .f32(Float(weightScale)))
    }
  }

  /// The name in the file of a parameter of layer `layer`, given the rest of its name; `nil` for a
  /// parameter that is not written.
  func tensorName(_ rest: String, layer: Int) -> String? {
    let (stem, ending) = Self.split(rest)
    let names = [
      "input_layernorm": "attn_norm",
      "post_attention_layernorm": name == .glm4moe ? "post_attention_norm" : "ffn_norm",
      "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
      "self_attn.o_proj": "attn_output",
      "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
      "mlp.router": "ffn_gate_inp",
      "mlp.shared_expert.gate_proj": "ffn_gate_shexp", "mlp.shared_expert.up_proj": "ffn_up_shexp",
      "mlp.shared_expert.down_proj": "ffn_down_shexp",
    ]
    let experts = [
      "mlp.experts.gate_proj": "ffn_gate_exps", "mlp.experts.up_proj": "ffn_up_exps",
      "mlp.experts.down_proj": "ffn_down_exps",
    ]
    if rest == "mlp.router.selection_bias" { return "blk.\(layer).exp_probs_b.bias" }
    if let name = experts[rest] { return "blk.\(layer).\(name).weight" }
    return names[stem].flatMap {
      ["weight", "bias"].contains(ending) ? "blk.\(layer).\($0).\(ending)" : nil
    }
  }

  private static func split(_ name: String) -> (stem: String, ending: String) {
    guard let dot = name.lastIndex(of: ".") else { return (name, "") }
    return (String(name[..<dot]), String(name[name.index(after: dot)...]))
  }
}
