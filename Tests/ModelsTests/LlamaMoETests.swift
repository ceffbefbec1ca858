import Formats
import Glibc
import Models
import Numerics
import TestSupport
import Testing

/// Released LLaMA-MoE checkpoints, both versions, on small models divided here.
@Suite struct LlamaMoETests {
  private let context: Context
  private let tokens: [Int32] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]

  init() throws { context = try Context(device: .cpu(threads: 1)) }

  private func model(_ divided: DividedModel, _ folder: TemporaryFolder) throws -> LanguageModel {
    try DividedModel.write(divided.config, divided.tensors, to: folder.path, shardLimit: 4000)
    return try DividedModel.loader(folder.path).model(in: context)
  }

  private func difference(_ a: [Float], _ b: [Float]) -> Float {
    a.count == b.count ? zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) } : .infinity
  }

  /// Routers of zeros, every expert chosen, the scale their number: the dense model.
  @Test(arguments: DividedModel.Kind.allCases)
  func allExpertsAreTheDenseModel(_ kind: DividedModel.Kind) throws {
    let (folder, denseFolder) = (TemporaryFolder(), TemporaryFolder())
    let divided = DividedModel(kind: kind, isLossless: true)
    let logits = context.read(try model(divided, folder).logits(tokens, in: context))
    try DividedModel.write(
      DividedModel.denseConfig, Array(DividedModel.dense.values), to: denseFolder.path)
    let dense = try DividedModel.loader(denseFolder.path).model(in: context)
    #expect(difference(logits, context.read(dense.logits(tokens, in: context))) < 2e-5)
  }

  @Test(arguments: DividedModel.Kind.allCases)
  func cachedTextIsUncachedText(_ kind: DividedModel.Kind) throws {
    let folder = TemporaryFolder()
    let model = try model(DividedModel(kind: kind, isLossless: false), folder)
    let all = context.read(model.logits(tokens, in: context))
    let generator = TextGenerator(model, capacity: 2, in: context)
    var cached: [Float] = context.read(generator.read(Array(tokens[..<3])))
    for token in tokens[3...] { cached += context.read(generator.read([token])) }
    #expect(difference(cached, Array(all[(2 * DividedModel.vocabulary)...])) < 2e-5)
  }

  /// A trained model is saved in herd's own format, and is the same there.
  @Test(arguments: DividedModel.Kind.allCases)
  func itIsSavedInTheHerdFormat(_ kind: DividedModel.Kind) throws {
    let (folder, saved) = (TemporaryFolder(), TemporaryFolder())
    let first = try model(DividedModel(kind: kind, isLossless: false), folder)
    let loader = try DividedModel.loader(folder.path)
    let config = HerdLayout.config(
      for: loader.layout, from: try ConfigurationFile(contentsOf: "\(folder.path)/config.json"))
    let layout = try HerdLayout(config)
    #expect(layout.configuration == loader.layout.configuration)
    try config.write(to: "\(saved.path)/config.json")
    try ModelWriter(layout: layout).write(first, to: saved.path, elementType: .f32, in: context)
    let again = try DividedModel.loader(saved.path).model(in: context)
    #expect(
      context.read(first.logits(tokens, in: context))
        == context.read(again.logits(tokens, in: context)))
    for key in ["scale_factor", "num_selects", "num_local_experts", "sliding_window"] {
      #expect(!config.contains(key))
    }
  }

  /// Balancing adds a bias of zeros to every mixture, which changes nothing and is saved with herd's
  /// fields.
  @Test(arguments: DividedModel.Kind.allCases)
  func balancingBiasesAreAdded(_ kind: DividedModel.Kind) throws {
    let folder = TemporaryFolder()
    let plain = try model(DividedModel(kind: kind, isLossless: false), folder)
    var config = try ConfigurationFile(contentsOf: "\(folder.path)/config.json")
    let layout = try CheckpointLayouts.layoutWithSelectionBias(for: &config)
    let loader = try ModelLoader(
      layout: layout, checkpoint: Checkpoint(folder: folder.path), selectionBiasFromZero: true)
    let biased = try loader.model(in: context)
    #expect(!biased.routers.isEmpty)
    #expect(biased.routers.allSatisfy { $0.router.selectionBias != nil })
    #expect(plain.routers.allSatisfy { $0.router.selectionBias == nil })
    #expect(
      context.read(biased.logits(tokens, in: context))
        == context.read(plain.logits(tokens, in: context)))
    let saved = try HerdLayout(HerdLayout.config(for: layout, from: config))
    #expect(saved.configuration == layout.configuration)
  }

  @Test(arguments: DividedModel.Kind.allCases)
  func everyTensorIsUsedOnce(_ kind: DividedModel.Kind) throws {
    let divided = DividedModel(kind: kind, isLossless: false)
    let all = divided.tensors
    let folder = TemporaryFolder()
    try DividedModel.write(divided.config, all, to: folder.path)
    let loader = try DividedModel.loader(folder.path)
    let noise = all.map(\.name).filter { $0.contains("weight_noise") }
    #expect(loader.ignoredTensors.sorted() == noise.sorted())
    #expect(noise.isEmpty != kind.isFirstVersion)
    let elements = loader.layout.bindings.reduce(0) { $0 + $1.shape.reduce(1, *) }
    let stored = all.filter { !noise.contains($0.name) }.reduce(0) { $0 + $1.values.count }
    #expect(elements == stored && elements == loader.layout.configuration.parameterCounts.total)
    for (index, tensor) in all.enumerated() where !noise.contains(tensor.name) {
      var others = all
      others.remove(at: index)
      let error = missing(divided.config, others)
      #expect(error.contains(tensor.name) && !error.contains("\n"), "\(tensor.name): \(error)")
    }
    var more = all[0]
    more.name = "model.layers.1.mlp.more.weight"
    #expect(missing(divided.config, all + [more]).contains(more.name))
  }

  private func missing(_ config: JSONObject, _ tensors: [DividedModel.Stored]) -> String {
    let folder = TemporaryFolder()
    do {
      try DividedModel.write(config, tensors, to: folder.path)
      _ = try DividedModel.loader(folder.path)
      return ""
    } catch { return "\(error)" }
  }

  /// `W₂ · tanh(W₁ · x)` of the first version's router, against the formula in double.
  @Test func theRouterOfTwoLayersFollowsItsFormula() throws {
    let folder = TemporaryFolder()
    let divided = DividedModel(kind: .one, isLossless: false)
    let model = try model(divided, folder)
    let block = model.blocks[0]
    let layout = SequenceLayout(count: tokens.count, in: context)
    let x = context.embedding(
      context.tensor(tokens, [tokens.count]), weight: model.embedding.tensor)
    let mixed = block.mix(x, layout: layout, in: context).output
    let input = context.readDoubles(block.mlpInput(mixed, in: context))
    let routing = try #require(block.feedForward(mixed, in: context).routing)
    let found = context.readDoubles(routing.logits_TE)
    func weights(_ part: String) throws -> [Double] {
      try #require(divided.tensors.first { $0.name == "model.layers.0.mlp.gate.\(part)" }).values
        .map { Double($0) }
    }
    let (first, second) = (
      try weights("gate_network.0.weight"), try weights("gate_network.2.weight")
    )
    let (hidden, experts) = (DividedModel.hidden, divided.kind.experts)
    for token in tokens.indices {
      let inner = (0..<experts).map { e in
        Glibc.tanh(
          (0..<hidden).reduce(0.0) { $0 + first[e * hidden + $1] * input[token * hidden + $1] })
      }
      for expert in 0..<experts {
        let expected = (0..<experts).reduce(0.0) { $0 + second[expert * experts + $1] * inner[$1] }
        #expect(abs(found[token * experts + expert] - expected) < 1e-5)
      }
    }
    // The weights are a softmax over the chosen two, times the scale.
    let sums = context.readDoubles(routing.weights_TK)
    for token in tokens.indices {
      #expect(abs(sums[2 * token] + sums[2 * token + 1] - 1.5) < 1e-5)
    }
  }

  @Test func theConvertersWindowIsNone() throws {
    var config = DividedModel(kind: .two, isLossless: false).config
    func window() throws -> Int? {
      let layout = try CheckpointLayouts.layout(
        for: ConfigurationFile(path: "config.json", object: config))
      guard case .attention(let attention) = layout.configuration.blocks[0].mixer else { return 0 }
      return attention.window
    }
    #expect(try window() == nil)
    config["sliding_window"] = 512
    #expect(try window() == 512)
    // Mixtral's own window is kept.
    config["sliding_window"] = 4096
    for key in ["scale_factor", "moe_type", "intermediate_size_residual"] { config[key] = nil }
    #expect(try window() == 4096)
  }

  static let mistakes: [(DividedModel.Kind, String, JSON, String)] = [
    (.one, "gate_network", "attention", "mlp or linear"),
    (.one, "gate_type", "SwitchBalancedGate", "TopKBalancedNoisyGate"),
    (.one, "calculator_type", "SwitchDropTokenCalculator", "UniversalCalculator"),
    (.one, "multiply_gate_scores", false, "multiply_gate_scores"),
    (.one, "add_weight_norm", true, "add_weight_norm"),
    (.one, "size_experts", [[6, 6, 6, 6]], "3 lists of 4 widths"),
    (.one, "size_experts", [[6, 6, 6, 6], [6, 6, 6, 6], [4, 8, 6, 6]], "layer 2"),
    (.one, "num_selects", 5, "top-k 5 with 4 experts"),
    (.oneLinear, "num_experts", 5, "does not divide"),
    (.oneLinear, "score_scale_factor", [1, 2], "score_scale_factor"),
    (.oneLinear, "score_scale_factor", 0, "above 0"),
    (.two, "scale_factor", "4", "scale_factor"),
    (.two, "add_rescale_bias", true, "add_rescale_bias"),
    (.two, "moe_type", "megablocks", "modulelist"),
    (.two, "num_moe_contract_layers", 2, "from 0 to 1"),
    (.twoResidual, "intermediate_size_residual", 7, "multiple of intermediate_size 6"),
    (.twoAttention, "top_k_attn", nil, "top_k_attn"),
    (.twoAttention, "top_k_attn", 3, "3 of 2 attention experts"),
    (.twoAttention, "attn_experts", 3, "attn_experts 3"),
    (.twoAttention, "num_moe_contract_layers", 1, "random weights"),
  ]

  @Test(arguments: mistakes)
  func configMistakesAreOneLine(
    _ kind: DividedModel.Kind, _ key: String, _ value: JSON, _ part: String
  ) throws {
    var config = DividedModel(kind: kind, isLossless: false).config
    config[key] = value
    let error = #expect(throws: (any Error).self) {
      try CheckpointLayouts.layout(for: ConfigurationFile(path: "config.json", object: config))
    }
    let text = error.map { "\($0)" } ?? ""
    #expect(text.contains(part) && text.hasPrefix("config.json") && !text.contains("\n"), "\(text)")
  }
}
