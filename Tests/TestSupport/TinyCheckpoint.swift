import Formats
import Numerics

/// Writes checkpoints small enough for tests.
public enum TinyCheckpoint {
  /// A `config.json` for a LLaMA of 2 layers, hidden 16, 4 heads over 2 key heads, width 24.
  public static func llamaConfig(tied: Bool = false) -> JSONObject {
    [
      "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16,
      "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
      "num_key_value_heads": 2, "vocab_size": 40, "rms_norm_eps": .number(.init(1e-5)),
      "rope_theta": .number(.init(10000.0)), "max_position_embeddings": 64, "hidden_act": "silu",
      "tie_word_embeddings": .bool(tied), "torch_dtype": "float32",
    ]
  }

  /// Writes `config.json` and seeded weights for the given tensors into `folder`.
  ///
  /// Norm gains are near 1, everything else is small and random.
  public static func write(
    _ config: JSONObject, tensors: [(name: String, shape: [Int])], to folder: String,
    elementType: ElementType = .f32, seed: UInt64 = 1, shardLimit: Int = 1 << 30
  ) throws {
    try ConfigurationFile(path: "\(folder)/config.json", object: config)
      .write(to: "\(folder)/config.json")
    let context = try Context(device: .cpu(threads: 1))
    let dtype: DType = elementType == .bf16 ? .bf16 : elementType == .f16 ? .f16 : .f32
    let writer = try CheckpointWriter(
      folder: folder,
      tensors: tensors.map { .init(name: $0.name, elementType: elementType, shape: $0.shape) },
      shardLimit: shardLimit)
    for (index, tensor) in tensors.enumerated() {
      var random = RandomStream(seed: seed, purpose: UInt64(index))
      let isNorm = tensor.name.hasSuffix("norm.weight")
      let values = random.uniform(
        tensor.shape.reduce(1, *), in: isNorm ? 0.8...1.2 : -0.4...0.4)
      let stored = context.tensor(values, tensor.shape, dtype)
      try withUnsafeTemporaryAllocation(byteCount: stored.byteCount, alignment: 8) { bytes in
        context.readBytes(stored, into: bytes)
        try writer.write(tensor.name, UnsafeRawBufferPointer(bytes))
      }
    }
    try writer.finish()
  }
}
