import ArgumentParser
import ExpertConstruction
import Formats
import Models
import Numerics

/// Writes a checkpoint of a LLaMA-3's shape with random weights: input of the benchmarks of conversion
/// and of GGUF files.
struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a bf16 checkpoint of 8B shape (16 GB at 32 layers), or of 1.2B shape (2.5 GB)."
  )

  /// The sizes of a published model.
  enum Shape: String, CaseIterable, ExpressibleByArgument {
    case large = "8b"
    case small = "1b"

    /// Hidden size, MLP width, layers, whether embeddings are tied.
    var sizes: (hidden: Int, width: Int, layers: Int, tied: Bool) {
      self == .large ? (4096, 14336, 32, false) : (2048, 8192, 16, true)
    }
  }

  @Argument var folder: String
  @Option var shape = Shape.large
  @Option(help: "Layers, if not as many as the shape has.")
  var layers: Int?
  @Option(help: "A checkpoint folder whose tokenizer the new one gets.")
  var tokenizer: String?

  func run() throws {
    try Files.createFolder(folder)
    let sizes = shape.sizes
    let config: JSONObject = [
      "architectures": ["LlamaForCausalLM"], "model_type": "llama",
      "hidden_size": JSON(sizes.hidden), "intermediate_size": JSON(sizes.width),
      "num_hidden_layers": JSON(layers ?? sizes.layers), "num_attention_heads": 32,
      "num_key_value_heads": 8, "vocab_size": 128_256, "rms_norm_eps": JSON(1e-5),
      "rope_theta": JSON(500_000.0), "max_position_embeddings": 8192, "hidden_act": "silu",
      "tie_word_embeddings": JSON(sizes.tied), "torch_dtype": "bfloat16", "bos_token_id": 128_000,
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
