import Data
import Formats
import TestSupport

/// A complete checkpoint folder: a tiny LLaMA, a byte-level tokenizer with the LLaMA-3 chat tokens,
/// and chat data.
struct ChatCheckpoint {
  let folder = TemporaryFolder()
  static let vocabulary = TrainedTokenizer(merges: [])
  static let layers = 2
  static let rows = 264

  /// The folder's path.
  var path: String { folder.path }

  /// Writes config, weights and tokenizer.
  init(seed: UInt64 = 1, shardLimit: Int = 1 << 30) throws {
    var config = TinyCheckpoint.llamaConfig(tied: true)
    config["vocab_size"] = JSON(Self.rows)
    try TinyCheckpoint.write(
      config, tensors: Self.tensors, to: folder.path, elementType: .bf16, seed: seed,
      shardLimit: shardLimit)
    for file in Self.vocabulary.files(contextLength: 64) { folder.write(file.name, file.contents) }
  }

  /// Names and shapes for ``TinyCheckpoint/llamaConfig(tied:)``.
  static var tensors: [(name: String, shape: [Int])] {
    var tensors: [(name: String, shape: [Int])] = [("model.embed_tokens.weight", [rows, 16])]
    for layer in 0..<layers {
      let prefix = "model.layers.\(layer)"
      tensors += [
        ("\(prefix).input_layernorm.weight", [16]),
        ("\(prefix).self_attn.q_proj.weight", [16, 16]),
        ("\(prefix).self_attn.k_proj.weight", [8, 16]),
        ("\(prefix).self_attn.v_proj.weight", [8, 16]),
        ("\(prefix).self_attn.o_proj.weight", [16, 16]),
        ("\(prefix).post_attention_layernorm.weight", [16]),
        ("\(prefix).mlp.gate_proj.weight", [24, 16]), ("\(prefix).mlp.up_proj.weight", [24, 16]),
        ("\(prefix).mlp.down_proj.weight", [16, 24]),
      ]
    }
    return tensors + [("model.norm.weight", [16])]
  }

  /// Writes `count` short conversations and returns the file's path.
  func data(_ name: String, count: Int = 20) -> String {
    let line = """
      {"messages": [{"role": "user", "content": "two?"}, {"role": "assistant", "content": "2"}]}\n
      """
    return folder.write(name, String(repeating: line, count: count))
  }
}
