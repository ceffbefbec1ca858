import Formats
import Models
import Numerics
import TestSupport
import Testing

/// One configuration per layout herd reads.
enum Example: String, CaseIterable, Sendable {
  case llama, tied, qwen2, mixtral, granite, qwen2moe, glm4moe, herd, attention
  case llamamoe1, llamamoe2

  var config: JSONObject {
    var config = TinyCheckpoint.llamaConfig(tied: self == .tied)
    switch self {
    case .llama, .tied: break
    case .qwen2: config["model_type"] = "qwen2"
    case .mixtral:
      config["model_type"] = "mixtral"
      config["num_local_experts"] = 3
      config["num_experts_per_tok"] = 2
    case .granite:
      config["model_type"] = "granitemoeshared"
      config["num_local_experts"] = 3
      config["num_experts_per_tok"] = 2
      config["shared_intermediate_size"] = 10
    case .qwen2moe:
      config["model_type"] = "qwen2_moe"
      config["qkv_bias"] = false
      config["num_experts"] = 3
      config["num_experts_per_tok"] = 2
      config["moe_intermediate_size"] = 6
      config["shared_expert_intermediate_size"] = 10
      config["mlp_only_layers"] = [0]
    case .llamamoe1: config = DividedModel(kind: .one, isLossless: false).config
    case .llamamoe2: config = DividedModel(kind: .twoAttention, isLossless: false).config
    case .glm4moe:
      config["model_type"] = "glm4_moe"
      config["n_routed_experts"] = 3
      config["num_experts_per_tok"] = 2
      config["moe_intermediate_size"] = 6
      config["partial_rotary_factor"] = 1.0
      config["routed_scaling_factor"] = 1.5
    case .herd:
      config["model_type"] = "herd"
      config["herd"] = [
        "format_version": 1,
        "blocks": [
          ["mixer": ["type": "attention"], "mlp": ["type": "dense", "width": 24]],
          [
            "mixer": ["type": "attention"],
            "mlp": [
              "type": "mixture", "experts": 3, "top_k": 2, "shared": 1, "expert_width": 6,
              "combination": ["rule": "gained"], "router_bias": true, "selection_bias": true,
              "output_bias": true,
            ],
          ],
        ],
      ]
    case .attention:
      config["model_type"] = "herd"
      config["herd"] = [
        "format_version": 1,
        "blocks": [
          [
            "mixer": [
              "type": "attention_mixture", "kind": "heads", "experts": 2, "top_k": 1,
              "shared_heads": [0, 3], "combination": ["rule": "gained"], "router_bias": true,
              "selection_bias": true,
            ],
            "mlp": ["type": "dense", "width": 24],
          ],
          [
            "mixer": [
              "type": "attention_mixture", "kind": "kv-group", "experts": 2, "top_k": 1,
              "combination": ["rule": "softmax", "scale": 2],
            ],
            "mlp": [
              "type": "mixture", "experts": 3, "top_k": 2, "shared": 1, "expert_width": 6,
              "combination": ["rule": "gained"], "router_bias": true, "selection_bias": true,
            ],
          ],
        ],
      ]
    }
    return config
  }

  func layout() throws -> any CheckpointLayout {
    try CheckpointLayouts.layout(for: ConfigurationFile(path: "config.json", object: config))
  }

  func write(to folder: String, seed: UInt64 = 1) throws {
    try TinyCheckpoint.write(
      config, tensors: layout().bindings.map { ($0.tensor, $0.shape) }, to: folder, seed: seed)
  }
}

@Suite struct LayoutTests {
  @Test(arguments: Example.allCases)
  func bindingsCoverEveryParameterExactlyOnce(example: Example) throws {
    let layout = try example.layout()
    var covered: [String: [Bool]] = [:]
    for shape in layout.configuration.parameterShapes {
      covered[shape.name] = [Bool](repeating: false, count: shape.shape.reduce(1, *))
    }
    for binding in layout.bindings {
      #expect(binding.parts.reduce(0) { $0 + $1.count } == binding.shape.reduce(1, *))
      for part in binding.parts {
        for index in part.offset..<part.offset + part.count {
          #expect(covered[part.parameter]?[index] == false, "\(part.parameter)[\(index)]")
          covered[part.parameter]?[index] = true
        }
      }
    }
    #expect(covered.values.allSatisfy { $0.allSatisfy { $0 } })
  }

  @Test(arguments: Example.allCases)
  func whatIsWrittenLoadsAsTheSameModel(example: Example) throws {
    let context = try Context(device: .cpu(threads: 1))
    let (first, second) = (TemporaryFolder(), TemporaryFolder())
    try example.write(to: first.path)
    let layout = try example.layout()
    let loader = try ModelLoader(layout: layout, checkpoint: Checkpoint(folder: first.path))
    let model = try loader.model(in: context)
    try ModelWriter(layout: layout).write(model, to: second.path, elementType: .f32, in: context)
    let again = try ModelLoader(layout: layout, checkpoint: Checkpoint(folder: second.path))
      .model(in: context)
    let tokens: [Int32] = [3, 1, 4, 1, 5, 9, 2, 6]
    let logits = context.read(model.logits(tokens, in: context))
    #expect(logits == context.read(again.logits(tokens, in: context)))
    #expect(logits.count == 8 * 40 && logits.allSatisfy(\.isFinite))
  }

  @Test func unknownArchitecturesAndTensorsAreNamed() throws {
    var config = TinyCheckpoint.llamaConfig()
    config["model_type"] = "gpt2"
    #expect(throws: ModelError.self) {
      try CheckpointLayouts.layout(for: ConfigurationFile(path: "c", object: config))
    }
    let folder = TemporaryFolder()
    let layout = try Example.llama.layout()
    var tensors = layout.bindings.map { ($0.tensor, $0.shape) }
    tensors.append(("model.layers.0.mlp.extra.weight", [2, 2]))
    try TinyCheckpoint.write(Example.llama.config, tensors: tensors, to: folder.path)
    let checkpoint = try Checkpoint(folder: folder.path)
    let error = #expect(throws: (any Error).self) {
      try ModelLoader(layout: layout, checkpoint: checkpoint)
    }
    #expect(error.map { "\($0)" }?.contains("model.layers.0.mlp.extra.weight") == true)
  }

  @Test func ropeScalingOfLlama3IsRead() throws {
    var config = TinyCheckpoint.llamaConfig()
    config["rope_scaling"] = [
      "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
      "original_max_position_embeddings": 8192,
    ]
    let layout = try CheckpointLayouts.layout(
      for: ConfigurationFile(path: "config.json", object: config))
    guard case .attention(let attention) = layout.configuration.blocks[0].mixer else { return }
    // Values of transformers 5.17 for head_dim 4, theta 10000: the slow pair is divided by 8.
    let frequencies = attention.rope.inverseFrequencies(headDimension: 4)
    #expect(abs(frequencies[0] - 1) < 1e-12)
    let turns = 8192 * 0.01 / (2 * Double.pi)
    #expect(turns > 4 && abs(frequencies[1] - 0.01) < 1e-12)
  }
}
