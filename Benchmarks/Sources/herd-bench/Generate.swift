import ArgumentParser
import ExpertConstruction
import Formats
import Models
import Numerics

/// Writes a checkpoint of LLaMA-3-8B's shape with random weights: input of the conversion benchmark.
struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write an 8B-shaped bf16 checkpoint (16 GB at 32 layers).")
  @Argument var folder: String
  @Option var layers = 32
  @Option(help: "A checkpoint folder whose tokenizer the new one gets.")
  var tokenizer: String?

  func run() throws {
    try Files.createFolder(folder)
    let config: JSONObject = [
      "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
      "intermediate_size": 14336, "num_hidden_layers": JSON(layers), "num_attention_heads": 32,
      "num_key_value_heads": 8, "vocab_size": 128_256, "rms_norm_eps": JSON(1e-5),
      "rope_theta": JSON(500_000.0), "max_position_embeddings": 8192, "hidden_act": "silu",
      "tie_word_embeddings": false, "torch_dtype": "bfloat16", "bos_token_id": 128_000,
    ]
    let file = ConfigurationFile(path: "\(folder)/config.json", object: config)
    try file.write(to: file.path)
    let bindings = try CheckpointLayouts.layout(for: file).bindings
    let writer = try CheckpointWriter(
      folder: folder,
      tensors: bindings.map { .init(name: $0.tensor, elementType: .bf16, shape: $0.shape) })
    var random = RandomStream(seed: 1)
    // Values in ±0.02 as bf16: sign, an exponent of -6 or -7, random fraction.
    let block = (0..<(8 << 20)).map { _ in
      let bits = random.next()
      return UInt16(truncatingIfNeeded: bits & 0x80ff) | 0x3c00
    }
    for binding in bindings {
      let bytes = binding.shape.reduce(2, *)
      var done = 0
      while done < bytes {
        let chunk = min(bytes - done, block.count * 2)
        try block.withUnsafeBytes {
          try writer.write(binding.tensor, at: done, UnsafeRawBufferPointer(rebasing: $0[..<chunk]))
        }
        done += chunk
      }
    }
    try writer.finish()
    if let tokenizer { try CompanionFiles.copy(from: tokenizer, to: folder) }
  }
}
