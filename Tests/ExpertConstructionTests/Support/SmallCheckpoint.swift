import Formats
import Glibc
import Numerics
import TestSupport

@testable import ExpertConstruction

/// A seeded dense LLaMA of the smallest sizes, with a tokenizer file next to it.
struct SmallCheckpoint {
  let hidden = 8
  var layers = 2
  var width = 24
  var elementType = ElementType.bf16
  var attentionBias = false
  var damaged: String?

  /// Writes the folder and returns its path.
  func write(in folder: TemporaryFolder, name: String = "dense") throws -> String {
    let path = "\(folder.path)/\(name)"
    mkdir(path, 0o755)
    var tensors = [declaration("model.embed_tokens.weight", [16, hidden])]
    for layer in 0..<layers {
      let prefix = "model.layers.\(layer)"
      for projection in ["q", "k", "v", "o"] {
        let rows = projection == "k" || projection == "v" ? hidden / 2 : hidden
        tensors.append(
          declaration("\(prefix).self_attn.\(projection)_proj.weight", [rows, hidden]))
        if attentionBias {
          tensors.append(declaration("\(prefix).self_attn.\(projection)_proj.bias", [rows]))
        }
      }
      tensors.append(declaration("\(prefix).mlp.gate_proj.weight", [width, hidden]))
      tensors.append(declaration("\(prefix).mlp.up_proj.weight", [width, hidden]))
      tensors.append(declaration("\(prefix).mlp.down_proj.weight", [hidden, width]))
      tensors.append(declaration("\(prefix).input_layernorm.weight", [hidden]))
      tensors.append(declaration("\(prefix).post_attention_layernorm.weight", [hidden]))
    }
    tensors.append(declaration("model.norm.weight", [hidden]))
    let writer = try CheckpointWriter(folder: path, tensors: tensors, shardLimit: 2000)
    var random = RandomStream(seed: 21)
    for tensor in tensors {
      var bytes = stored(random.normal(tensor.shape.reduce(1, *)))
      if tensor.name == damaged { for index in 0..<4 { bytes[index] = 0xff } }
      try bytes.withUnsafeBytes { try writer.write(tensor.name, $0) }
    }
    try writer.finish()
    try Files.write(configuration, to: "\(path)/config.json")
    try Files.write("{\"version\": \"1.0\"}", to: "\(path)/tokenizer.json")
    try Files.write("all rights", to: "\(path)/LICENSE")
    return path
  }

  private func declaration(_ name: String, _ shape: [Int]) -> TensorDeclaration {
    TensorDeclaration(name: name, elementType: elementType, shape: shape)
  }

  private func stored(_ values: [Float]) -> [UInt8] {
    switch elementType {
    case .bf16:
      values.map { UInt16($0.bitPattern >> 16) }.withUnsafeBytes(Array.init)
    case .f16: values.map { Float16($0) }.withUnsafeBytes(Array.init)
    default: values.withUnsafeBytes(Array.init)
    }
  }

  private var configuration: String {
    """
    {
      "architectures": ["LlamaForCausalLM"],
      "attention_bias": \(attentionBias),
      "dtype": "bfloat16",
      "head_dim": 2,
      "hidden_act": "silu",
      "hidden_size": \(hidden),
      "intermediate_size": \(width),
      "max_position_embeddings": 64,
      "mlp_bias": false,
      "model_type": "llama",
      "num_attention_heads": 4,
      "num_hidden_layers": \(layers),
      "num_key_value_heads": 2,
      "rms_norm_eps": 1e-05,
      "rope_parameters": {
        "rope_theta": 500000.0,
        "rope_type": "default"
      },
      "some_future_field": [1, 2.50],
      "tie_word_embeddings": true,
      "vocab_size": 16
    }
    """
  }
}

/// Opens a dense folder as a conversion does.
func openDense(_ path: String) throws -> (source: DenseSource, checkpoint: Checkpoint) {
  let checkpoint = try Checkpoint(folder: path, access: .pread)
  let configuration = try ConfigurationFile(contentsOf: "\(path)/config.json")
  return (try DenseSource(configuration: configuration, checkpoint: checkpoint), checkpoint)
}

/// Attention inputs and head outputs made up of seeded noise.
struct NoiseHeads: AttentionInputs {
  let context: Context
  let hidden: Int
  let layer: Int
  let tokens = 60

  func forEachBatch(_ body: (_ input_TD: Tensor, _ heads_TC: Tensor) throws -> Void) throws {
    var random = RandomStream(seed: UInt64(layer), purpose: 3)
    for rows in [25, 25, 10] {
      let input = context.tensor(random.normal(rows * hidden), [rows, hidden])
      try body(input, context.tensor(random.normal(rows * hidden), [rows, hidden]))
    }
  }
}

/// Importance of neurons made up of seeded noise, for each of two layers.
func noiseGradients(experts: Int, hidden: Int, width: Int) -> [Int: ClusterImportance] {
  var random = RandomStream(seed: 4, purpose: 9)
  var layers: [Int: ClusterImportance] = [:]
  for layer in 0..<2 {
    layers[layer] = ClusterImportance(
      clusters: experts, centres_ED: random.normal(experts * hidden),
      importance_EI: random.normal(experts * width).map(abs))
  }
  return layers
}

/// Calibration inputs made up of seeded noise; fails when asked for layer `failingAt`.
struct NoiseCalibration: CalibrationSource {
  let context: Context
  let hidden: Int
  var failingAt: Int?
  /// Attention's inputs; query heads have as many channels in all as the model is wide.
  func attentionInputs(ofLayer index: Int) throws -> any AttentionInputs {
    NoiseHeads(context: context, hidden: hidden, layer: index)
  }

  struct Interrupted: Error {}

  func inputs(ofLayer index: Int) throws -> any LayerInputs {
    if index == failingAt { throw Interrupted() }
    var random = RandomStream(seed: UInt64(index))
    return RecordedInputs(context.tensor(random.normal(60 * hidden), [60, hidden]), batch: 25)
  }
}
