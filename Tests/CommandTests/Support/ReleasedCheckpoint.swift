import Data
import Formats
import TestSupport

/// A folder as LLaMA-MoE, of either version, is released: config, random weights, a tokenizer.
struct ReleasedCheckpoint {
  let folder = TemporaryFolder()
  let isFirstVersion: Bool
  private static let vocabulary = TrainedTokenizer(merges: [])

  /// The folder's path.
  var path: String { folder.path }

  init(isFirstVersion: Bool) throws {
    self.isFirstVersion = isFirstVersion
    var config = TinyCheckpoint.llamaConfig()
    config["vocab_size"] = 264
    let own: JSONObject =
      isFirstVersion
      ? [
        "model_type": "llama_moe", "num_experts": 4, "num_selects": 2, "gate_network": "mlp",
        "score_scale_factor": 2.0,
      ]
      : [
        "model_type": "mixtral", "intermediate_size": 6, "num_local_experts": 3,
        "num_experts_per_tok": 1, "intermediate_size_residual": 6, "scale_factor": 1.0,
        "use_attn_moe": true, "top_k_attn": 1, "attn_experts": 2, "scale_factor_attn": 2.0,
        "sliding_window": 4096, "moe_type": "modulelist",
      ]
    for (key, value) in own { config[key] = value }
    try TinyCheckpoint.write(
      config, tensors: tensors, to: folder.path, elementType: .bf16, shardLimit: 9000)
    for file in Self.vocabulary.files(contextLength: 64) { folder.write(file.name, file.contents) }
  }

  private var tensors: [(name: String, shape: [Int])] {
    [("model.embed_tokens.weight", [264, 16])] + (0..<2).flatMap(layer)
      + [("model.norm.weight", [16]), ("lm_head.weight", [264, 16])]
  }

  private func layer(_ index: Int) -> [(name: String, shape: [Int])] {
    let prefix = "model.layers.\(index)"
    var tensors = [
      ("\(prefix).input_layernorm.weight", [16]),
      ("\(prefix).post_attention_layernorm.weight", [16]),
    ]
    if isFirstVersion {
      for (name, rows) in [("q", 16), ("k", 8), ("v", 8), ("o", 16)] {
        tensors.append(("\(prefix).self_attn.\(name)_proj.weight", [rows, 16]))
      }
      tensors += [
        ("\(prefix).mlp.gate.gate_network.0.weight", [4, 16]),
        ("\(prefix).mlp.gate.gate_network.2.weight", [4, 4]),
        ("\(prefix).mlp.gate.weight_noise.weight", [4, 16]),
      ]
      for expert in 0..<4 {
        tensors += [
          ("\(prefix).mlp.calculator.experts.weight_gate.\(expert)", [6, 16]),
          ("\(prefix).mlp.calculator.experts.weight_up.\(expert)", [6, 16]),
          ("\(prefix).mlp.calculator.experts.weight_down.\(expert)", [16, 6]),
        ]
      }
      return tensors
    }
    tensors.append(("\(prefix).self_attn.gate.weight", [2, 16]))
    for expert in 0..<2 {
      for (name, shape) in [("q", [8, 16]), ("k", [4, 16]), ("v", [4, 16]), ("o", [16, 8])] {
        tensors.append(("\(prefix).self_attn.\(name)_proj.\(expert).weight", shape))
      }
    }
    tensors.append(("\(prefix).block_sparse_moe.gate.weight", [3, 16]))
    let places =
      (0..<3).map { "\(prefix).block_sparse_moe.experts.\($0)" } + ["\(prefix).mlp_residual"]
    for place in places {
      tensors += [
        ("\(place).w1.weight", [6, 16]), ("\(place).w2.weight", [16, 6]),
        ("\(place).w3.weight", [6, 16]),
      ]
    }
    return tensors
  }

  /// Writes short conversations and returns the file's path.
  func data() -> String {
    let line = """
      {"messages": [{"role": "user", "content": "two?"}, {"role": "assistant", "content": "2"}]}\n
      """
    return folder.write("toy.jsonl", String(repeating: line, count: 20))
  }
}
