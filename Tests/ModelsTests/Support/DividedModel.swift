import Formats
import Models
import Numerics
import TestSupport

/// A small dense LLaMA, and the same weights as the released LLaMA-MoE checkpoints lay them out.
struct DividedModel {
  /// A tensor of a file.
  struct Stored {
    var name: String
    var shape: [Int]
    var values: [Float]
  }

  /// How the dense model is divided.
  enum Kind: String, CaseIterable, Sendable {
    /// Version 1 with the router of two layers.
    case one
    /// Version 1 with a linear router and a scale per layer.
    case oneLinear
    /// Version 2 as Mixtral, with a scale.
    case two
    /// Version 2 with a residual MLP and dense layers at both ends.
    case twoResidual
    /// Version 2 with attention experts too.
    case twoAttention

    var isFirstVersion: Bool { self == .one || self == .oneLinear }
    /// Experts, and the neurons of the residual MLP.
    var experts: Int { self == .twoResidual ? 3 : 4 }
    var residual: Int { self == .twoResidual ? 6 : 0 }
  }

  static let (hidden, layers, heads, keyHeads, dimension) = (16, 3, 4, 2, 4)
  static let (width, expertWidth, vocabulary) = (24, 6, 40)

  let kind: Kind
  /// Whether routers are zero and every expert is chosen with the scale that makes up for it.
  let isLossless: Bool

  /// The dense model's config.
  static var denseConfig: JSONObject {
    var config = TinyCheckpoint.llamaConfig()
    config["num_hidden_layers"] = JSON(layers)
    return config
  }

  /// The dense model's tensors, seeded.
  static let dense: [String: Stored] = {
    var tensors: [String: Stored] = [:]
    guard
      let layout = try? CheckpointLayouts.layout(
        for: ConfigurationFile(path: "config.json", object: denseConfig))
    else { return tensors }
    for (index, binding) in layout.bindings.enumerated() {
      var random = RandomStream(seed: 3, purpose: UInt64(index))
      let isNorm = binding.tensor.hasSuffix("norm.weight")
      tensors[binding.tensor] = Stored(
        name: binding.tensor, shape: binding.shape,
        values: random.uniform(binding.shape.reduce(1, *), in: isNorm ? 0.8...1.2 : -0.4...0.4))
    }
    return tensors
  }()

  /// The divided model's config.
  var config: JSONObject {
    var config = Self.denseConfig
    let topK = isLossless ? kind.experts : 2
    let scale = isLossless ? Double(kind.experts) : 1.5
    if kind.isFirstVersion {
      config["model_type"] = "llama_moe"
      config["num_experts"] = JSON(kind.experts)
      config["num_selects"] = JSON(topK)
      config["gate_network"] = kind == .one ? "mlp" : "linear"
      config["gate_type"] = "TopKBalancedNoisyGate"
      config["calculator_type"] = "UniversalCalculator"
      config["score_scale_factor"] =
        kind == .one
        ? JSON(scale) : .array((0..<Self.layers).map { _ in JSON(scale) })
      if kind == .one {
        config["size_experts"] = .array(
          (0..<Self.layers).map { _ in
            .array((0..<kind.experts).map { _ in JSON(Self.expertWidth) })
          })
      }
      return config
    }
    config["model_type"] = "mixtral"
    config["intermediate_size"] = JSON(Self.expertWidth)
    config["num_local_experts"] = JSON(kind.experts)
    config["num_experts_per_tok"] = JSON(topK)
    config["scale_factor"] = JSON(scale)
    config["moe_type"] = "modulelist"
    config["sliding_window"] = 4096
    config["intermediate_size_residual"] = kind.residual > 0 ? JSON(kind.residual) : .null
    if kind == .twoResidual { config["num_moe_contract_layers"] = 1 }
    if kind == .twoAttention {
      config["use_attn_moe"] = true
      config["top_k_attn"] = JSON(isLossless ? 2 : 1)
      config["scale_factor_attn"] = JSON(isLossless ? 2.0 : 1.25)
    }
    return config
  }

  /// The divided model's tensors.
  var tensors: [Stored] {
    var result: [Stored] = []
    for name in Self.dense.keys.sorted() {
      guard let tensor = Self.dense[name] else { continue }
      let parts = name.split(separator: ".")
      let layer = parts.count > 2 ? Int(parts[2]) : nil
      if name.contains(".mlp."), let layer, !isDense(layer) {
        result += experts(of: tensor, layer: layer)
      } else if name.contains(".self_attn."), kind == .twoAttention {
        result += attentionExperts(of: tensor)
      } else {
        result.append(tensor)
      }
    }
    for layer in 0..<Self.layers where !isDense(layer) { result += routers(layer) }
    return result
  }

  func isDense(_ layer: Int) -> Bool { kind == .twoResidual && layer != 1 }

  private func routers(_ layer: Int) -> [Stored] {
    let prefix = "model.layers.\(layer)"
    let (experts, hidden) = (kind.experts, Self.hidden)
    switch kind {
    case .one:
      return [
        router("\(prefix).mlp.gate.gate_network.0.weight", [experts, hidden]),
        router("\(prefix).mlp.gate.gate_network.2.weight", [experts, experts]),
        router("\(prefix).mlp.gate.weight_noise.weight", [experts, hidden]),
      ]
    case .oneLinear:
      return [
        router("\(prefix).mlp.gate.gate_network.weight", [experts, hidden]),
        router("\(prefix).mlp.gate.weight_noise.weight", [experts, hidden]),
      ]
    case .two, .twoResidual:
      return [router("\(prefix).block_sparse_moe.gate.weight", [experts, hidden])]
    case .twoAttention:
      return [
        router("\(prefix).block_sparse_moe.gate.weight", [experts, hidden]),
        router("\(prefix).self_attn.gate.weight", [Self.keyHeads, hidden]),
      ]
    }
  }

  private func router(_ name: String, _ shape: [Int]) -> Stored {
    var random = RandomStream(
      seed: 5, purpose: name.utf8.reduce(0) { $0 &* 31 &+ UInt64($1) })
    let values = random.uniform(shape.reduce(1, *), in: -1...1)
    return Stored(name: name, shape: shape, values: isLossless ? values.map { _ in 0 } : values)
  }

  /// Runs of neurons of one matrix, under the names of the format.
  private func experts(of tensor: Stored, layer: Int) -> [Stored] {
    let prefix = "model.layers.\(layer)"
    let isDown = tensor.name.contains("down_proj")
    let (first, second) =
      tensor.name.contains("gate_proj")
      ? ("weight_gate", "w1") : isDown ? ("weight_down", "w2") : ("weight_up", "w3")
    func piece(_ name: String, _ start: Int, _ count: Int) -> Stored {
      isDown
        ? Self.columns(of: tensor, start, count, name: name)
        : Self.rows(of: tensor, start, count, name: name)
    }
    var result: [Stored] = []
    // The residual neurons come first, so that offsets are not those of a plain split.
    if kind.residual > 0 {
      result.append(piece("\(prefix).mlp_residual.\(second).weight", 0, kind.residual))
    }
    for expert in 0..<kind.experts {
      let name =
        kind.isFirstVersion
        ? "\(prefix).mlp.calculator.experts.\(first).\(expert)"
        : "\(prefix).block_sparse_moe.experts.\(expert).\(second).weight"
      result.append(
        piece(name, kind.residual + expert * Self.expertWidth, Self.expertWidth))
    }
    return result
  }

  private func attentionExperts(of tensor: Stored) -> [Stored] {
    let base = tensor.name.dropLast(".weight".count)
    return (0..<Self.keyHeads).map { expert in
      let name = "\(base).\(expert).weight"
      let queries = Self.heads / Self.keyHeads * Self.dimension
      if base.hasSuffix("o_proj") {
        return Self.columns(of: tensor, expert * queries, queries, name: name)
      }
      let rows = base.hasSuffix("q_proj") ? queries : Self.dimension
      return Self.rows(of: tensor, expert * rows, rows, name: name)
    }
  }

  private static func rows(of tensor: Stored, _ start: Int, _ count: Int, name: String) -> Stored {
    let columns = tensor.shape[1]
    return Stored(
      name: name, shape: [count, columns],
      values: Array(tensor.values[start * columns..<(start + count) * columns]))
  }

  private static func columns(
    of tensor: Stored, _ start: Int, _ count: Int, name: String
  ) -> Stored {
    let (rows, columns) = (tensor.shape[0], tensor.shape[1])
    return Stored(
      name: name, shape: [rows, count],
      values: (0..<rows).flatMap { row in
        tensor.values[row * columns + start..<row * columns + start + count]
      })
  }

  /// Writes `config.json` and weights, in shards of at most `shardLimit` bytes.
  static func write(
    _ config: JSONObject, _ tensors: [Stored], to folder: String, shardLimit: Int = 1 << 30
  ) throws {
    try ConfigurationFile(path: "\(folder)/config.json", object: config)
      .write(to: "\(folder)/config.json")
    let writer = try CheckpointWriter(
      folder: folder,
      tensors: tensors.map { .init(name: $0.name, elementType: .f32, shape: $0.shape) },
      shardLimit: shardLimit)
    for tensor in tensors {
      try tensor.values.withUnsafeBytes { try writer.write(tensor.name, $0) }
    }
    try writer.finish()
  }

  /// Opens a folder.
  static func loader(_ folder: String) throws -> ModelLoader {
    let config = try ConfigurationFile(contentsOf: "\(folder)/config.json")
    return try ModelLoader(
      layout: CheckpointLayouts.layout(for: config), checkpoint: Checkpoint(folder: folder))
  }
}
