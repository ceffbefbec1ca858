import Formats
import Glibc
import Models
import Numerics
import Synchronization
import TestSupport
import Testing

/// MiniMax-01's folders as stock transformers writes them.
@Suite struct MiniMaxLayoutTests {
  static let config: JSONObject = [
    "architectures": ["MiniMaxForCausalLM"], "model_type": "minimax", "block_size": 8,
    "full_attn_alpha_factor": 1.5, "full_attn_beta_factor": 0.75, "linear_attn_alpha_factor": 1.25,
    "linear_attn_beta_factor": 1.0, "mlp_alpha_factor": 1.125, "mlp_beta_factor": 0.5,
    "head_dim": 4, "hidden_act": "silu", "hidden_size": 16, "intermediate_size": 12,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    "max_position_embeddings": 64, "num_attention_heads": 4, "num_experts_per_tok": 2,
    "num_hidden_layers": 3, "num_key_value_heads": 2, "num_local_experts": 3,
    "rms_norm_eps": 0.00001, "rope_parameters": ["rope_theta": 1000000.0, "rope_type": "default"],
    "sliding_window": .null, "tie_word_embeddings": false, "vocab_size": 24,
  ]

  private static let tokens: [Int32] = [
    3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4,
  ]

  /// Logits at positions 0, 9 and 19 that `MiniMaxForCausalLM` of transformers 5.24.0 (torch 2.15.0,
  /// CPU, f32, eager experts) gives for this configuration, these tokens and ``StockFolder``'s weights.
  private static let logits: [(position: Int, values: [Double])] = [
    (
      0,
      [
        -0.7811716, -0.0112379, 0.7688851, 0.4793742, 0.2566869, 0.5154482, 1.3006896, -1.5340173,
        -0.8439393, 2.1218505, -0.4889423, 0.9019913, -0.4934703, -0.0774326, -2.144042, 0.5316676,
        -0.7581072, 0.1045931, -0.3907702, 0.6388958, -0.0937883, 0.1332615, 0.864733, -1.7978897,
      ]
    ),
    (
      9,
      [
        -0.1385282, 0.2230083, -0.7920589, 1.306807, 0.606683, 1.4603134, -1.6287402, 1.3627881,
        1.2523507, 1.4746017, -1.0125818, -0.4308098, -0.7922788, 0.8366867, 0.5656059, -0.0469809,
        0.6873292, 1.1229615, -0.3226756, 0.2023197, 1.152842, 0.8292272, 0.2947678, -2.0381515,
      ]
    ),
    (
      19,
      [
        -0.6408033, 1.9759659, -0.0548607, -2.6601279, -0.9072741, -2.7588265, 0.3198642,
        1.6167217, 0.2670488, -0.3697449, 0.6797146, -2.7580872, 0.3664872, 1.3392336, 0.0019876,
        -0.5122613, -0.5377842, -1.2810302, 0.0412154, -0.5243058, 0.649986, 1.3721203,
        -0.6214486, 2.4474685,
      ]
    ),
  ]

  /// What transformers writes beside the weights of a layer.
  private static func buffers(
    layer: Int, factor: Double = 1
  ) -> [(name: String, shape: [Int], values: [Double])] {
    let prefix = "model.layers.\(layer).self_attn"
    let slopes = DecaySlopes.minimax.values(heads: 4, layer: layer, layers: 3).map { $0 * factor }
    func table(_ exponents: [Int]) -> [Double] {
      slopes.flatMap { slope in
        // A token before the other is not seen.
        exponents.map { $0 < 0 ? 0 : exp(-slope * Double($0)) }
      }
    }
    let pairs = (0..<64).map { $0 / 8 - $0 % 8 }
    return [
      ("\(prefix).slope_rate", [4, 1, 1], slopes),
      ("\(prefix).query_decay", [4, 8, 1], table(Array(1...8))),
      ("\(prefix).key_decay", [4, 8, 1], table((0...7).reversed())),
      ("\(prefix).diagonal_decay", [1, 4, 8, 8], table(pairs)),
    ]
  }

  @Test func logitsAreThoseOfTransformers() throws {
    let folder = TemporaryFolder()
    var stock = StockFolder(config: Self.config)
    stock.tensors = Self.buffers(layer: 0) + Self.buffers(layer: 2)
    try stock.write(to: folder.path)
    let context = try Context(device: .cpu(threads: 1))
    let model = try StockFolder.model(folder.path, in: context)
    let found = context.readDoubles(model.logits(Self.tokens, in: context))
    for (position, values) in Self.logits {
      let row = Array(found[position * 24..<(position + 1) * 24])
      #expect(relativeError(row, values) < 2e-6, "position \(position)")
    }
    let ignored = try ModelLoader(
      layout: stock.layout(), checkpoint: Checkpoint(folder: folder.path)
    ).ignoredTensors
    #expect(ignored.isEmpty)
  }

  /// The format with its tables counting the rows that are asked of them.
  private struct Counting: CheckpointLayout {
    static let modelTypes = MiniMaxLayout.modelTypes
    let own: MiniMaxLayout
    let counts: Counts

    final class Counts: Sendable {
      let rows = Mutex<[String: Int]>([:])
    }

    init(_ config: ConfigurationFile) throws {
      own = try MiniMaxLayout(config)
      counts = Counts()
    }

    var configuration: ModelConfiguration { own.configuration }
    var bindings: [TensorBinding] { own.bindings }
    var repeated: [RepeatedTensor] {
      own.repeated.map { tensor in
        var counted = tensor
        counted.row = { [counts] row in
          counts.rows.withLock { $0[tensor.tensor, default: 0] += 1 }
          return tensor.row(row)
        }
        return counted
      }
    }
  }

  /// Opening a folder looks at all slopes and at a few rows of tables, however many they have.
  @Test func tablesAreLookedAtHereAndThere() throws {
    let folder = TemporaryFolder()
    var stock = StockFolder(config: Self.config)
    stock.tensors = Self.buffers(layer: 0) + Self.buffers(layer: 2)
    try stock.write(to: folder.path)
    let layout = try Counting(ConfigurationFile(path: "config.json", object: Self.config))
    _ = try ModelLoader(layout: layout, checkpoint: Checkpoint(folder: folder.path))
    let rows = layout.counts.rows.withLock { $0 }
    for layer in [0, 2] {
      let prefix = "model.layers.\(layer).self_attn"
      #expect(rows["\(prefix).slope_rate"] == 1)
      #expect(rows["\(prefix).query_decay"] == 4 && rows["\(prefix).key_decay"] == 4)
      #expect(rows["\(prefix).diagonal_decay"] == RepeatedTensor.checkedRows)
    }
    let tables = layout.own.repeated
    #expect(tables.map { $0.values().count } == tables.map { $0.shape.reduce(1, *) })
    // The last row is looked at too.
    var damaged = Self.buffers(layer: 0)
    damaged[3].values[damaged[3].values.count - 1] += 0.001
    stock.tensors = damaged
    let other = TemporaryFolder()
    try stock.write(to: other.path)
    #expect(StockFolder.refusal(other.path).contains("at element 255"))
  }

  /// The defaults of transformers for fields that are not there, and the older list of layers.
  @Test func defaultsAreThoseOfTransformers() throws {
    var config = Self.config
    for key in ["rope_parameters", "rms_norm_eps", "max_position_embeddings"] { config[key] = nil }
    (config["num_attention_heads"], config["hidden_size"]) = (16, 32)
    for key in ["num_key_value_heads", "layer_types", "head_dim"] { config[key] = nil }
    for (name, _) in [("full_attn_alpha_factor", 1), ("mlp_beta_factor", 1)] { config[name] = nil }
    let model = try StockFolder(config: config).layout().configuration
    guard case .attention(let attention) = model.blocks[0].mixer else {
      Issue.record("layer 0 is linear")
      return
    }
    #expect(attention.rope.theta == 1e6 && attention.keyHeads == 8 && attention.headDimension == 2)
    #expect(model.normEpsilon == 1e-5 && model.maximumPositions == 131072)
    #expect(model.linearMixers.map { $0 == nil } == [true, false, true])
    #expect(model.residual?.attention == .init(alpha: 1, beta: 0.75))
    #expect(model.residual?.mlp == .init(alpha: 1.125, beta: 1))
    config["attn_type_list"] = [0, 0, 1]
    let listed = try StockFolder(config: config).layout().configuration
    config["num_key_value_heads"] = .null
    guard
      case .attention(let full) = try StockFolder(config: config).layout().configuration
        .blocks[2].mixer
    else {
      Issue.record("layer 2 is linear")
      return
    }
    #expect(full.keyHeads == 16)
    #expect(listed.linearMixers.map { $0 == nil } == [false, false, true])
  }

  /// One expert's weight is 1 whatever its router says, so it is a dense MLP.
  @Test func oneExpertIsDense() throws {
    var config = Self.config
    config["num_local_experts"] = 1
    config["num_experts_per_tok"] = 1
    let folder = TemporaryFolder()
    var stock = StockFolder(config: config)
    stock.tensors = [0, 1, 2].map {
      (MiniMaxLayout.router($0), [1, 16], [Double](repeating: 3, count: 16))
    }
    try stock.write(to: folder.path)
    let context = try Context(device: .cpu(threads: 1))
    let model = try StockFolder.model(folder.path, in: context)
    #expect(model.configuration.blocks.allSatisfy { $0.mlp == .dense(.init(width: 12)) })
    #expect(context.read(model.logits(Self.tokens, in: context)).allSatisfy { $0.isFinite })
  }

  /// Training saves it in herd's own format, which holds the same model.
  @Test(arguments: [1, 3])
  func herdsFormatHoldsIt(experts: Int) throws {
    var config = Self.config
    config["num_local_experts"] = JSON(experts)
    config["num_experts_per_tok"] = JSON(min(2, experts))
    config["rope_parameters"] = nil
    try StockFolder(config: config).expectHerdHoldsIt(Self.tokens)
  }

  /// Prefill and steps give what a full pass does.
  @Test func decodingGivesTheFullPass() throws {
    let folder = TemporaryFolder()
    try StockFolder(config: Self.config).write(to: folder.path)
    let context = try Context(device: .cpu(threads: 1))
    let model = try StockFolder.model(folder.path, in: context)
    let tokens = Array(Self.tokens.prefix(12))
    let expected = context.read(model.logits(tokens, in: context))
    let generator = TextGenerator(model, capacity: 2, in: context)
    for rows in [0..<5, 5..<6, 6..<11, 11..<12] {
      let found = context.readDoubles(generator.read(Array(tokens[rows])))
      let wanted = expected[(rows.upperBound - 1) * 24..<rows.upperBound * 24].map(Double.init)
      #expect(relativeError(found, wanted) < 2e-6, "\(rows)")
    }
  }

  @Test func whatIsNotThatModelIsRefused() throws {
    func refusal(_ edit: (inout JSONObject) -> Void) -> String {
      var config = Self.config
      edit(&config)
      do {
        _ = try StockFolder(config: config).layout()
        return "a model"
      } catch {
        return "\(error)"
      }
    }
    #expect(refusal { $0["rotary_dim"] = 2 }.contains("rotary_dim 2 of head_dim 4"))
    #expect(
      refusal {
        $0["rope_parameters"] = ["rope_theta": 10.0, "partial_rotary_factor": 0.5]
      }.contains("partial_rotary_factor 0.5"))
    #expect(refusal { $0["layer_types"] = ["linear_attention"] }.contains("lists 1 layers"))
    #expect(
      refusal {
        $0["layer_types"] = ["linear_attention", "sliding_attention", "full_attention"]
      }.contains("full_attention or linear_attention"))
    #expect(
      refusal {
        $0["layer_types"] = nil
        $0["attn_type_list"] = [0, 1, 2]
      }.contains("0 (linear) or 1 (softmax)"))
    #expect(refusal { $0["num_key_value_heads"] = 3 }.contains("does not divide"))
    #expect(refusal { $0["head_dim"] = 512 }.contains("beyond 256"))
    #expect(refusal { $0["hidden_act"] = "gelu" }.contains("gelu"))
    #expect(refusal { $0["num_experts_per_tok"] = 4 }.contains("top-k 4 with 3 experts"))
    #expect(refusal { $0["mlp_alpha_factor"] = "one" }.contains("mlp_alpha_factor"))

    func refusal(_ stock: StockFolder) throws -> String {
      let folder = TemporaryFolder()
      try stock.write(to: folder.path)
      return StockFolder.refusal(folder.path)
    }
    var stock = StockFolder(config: Self.config)
    stock.tensors = Self.buffers(layer: 0, factor: 1.01)
    #expect(try refusal(stock).contains("layers.0.self_attn.slope_rate holds"))
    for index in 1...3 {
      stock.tensors = Self.buffers(layer: 0)
      stock.tensors[index].values[5] += 0.001
      #expect(try refusal(stock).contains("decay holds"))
    }
    stock.tensors = [("model.layers.0.self_attn.slope_rate", [4], [0, 0, 0, 0])]
    #expect(try refusal(stock).contains("has shape [4]"))
    stock.tensors = [("model.layers.1.self_attn.q_norm.weight", [4], [1, 1, 1, 1])]
    #expect(try refusal(stock).contains("model.layers.1.self_attn.q_norm.weight is not used"))
    stock.tensors = []
    stock.missing = ["model.layers.2.self_attn.output_gate.weight"]
    #expect(try refusal(stock).contains("model.layers.2.self_attn.output_gate.weight [16, 16]"))
  }
}
