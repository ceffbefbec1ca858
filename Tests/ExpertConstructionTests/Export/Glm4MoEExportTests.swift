import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import ExpertConstruction

/// A herd model with a dense first layer, sigmoid weights and balancing biases, written as `glm4_moe`.
@Suite struct Glm4MoEExportTests {
  private let folder = TemporaryFolder()

  private func herd(rule: String, shared: Int, mixtureFirst: Bool = false, _ more: JSONObject = [:])
    throws -> String
  {
    let path = "\(folder.path)/herd"
    try Files.createFolder(path)
    var config = TinyCheckpoint.llamaConfig()
    var mixture: JSONObject = [
      "type": "mixture", "experts": 3, "top_k": 2, "shared": JSON(shared), "expert_width": 6,
      "combination": ["rule": .string(rule), "scale": 1.75], "selection_bias": true,
    ]
    for (key, value) in more { mixture[key] = value }
    let dense: JSON = ["type": "dense", "width": 24]
    config["model_type"] = "herd"
    config["herd"] = [
      "format_version": 1,
      "blocks": .array(
        (mixtureFirst ? [.object(mixture), dense] : [dense, .object(mixture)]).map {
          ["mixer": ["type": "attention"], "mlp": $0]
        }),
    ]
    let layout = try CheckpointLayouts.layout(
      for: ConfigurationFile(path: "config.json", object: config))
    try TinyCheckpoint.write(
      config, tensors: layout.bindings.map { ($0.tensor, $0.shape) }, to: path)
    return path
  }

  /// The format has the balancing bias already; another stock format has no place for it.
  @Test func balancingNeedsNothingAdded() throws {
    var config = ConfigurationFile(path: "config.json", object: TinyCheckpoint.llamaConfig())
    for (key, value) in [
      ("model_type", "glm4_moe"), ("moe_intermediate_size", 6), ("n_routed_experts", 4),
      ("num_experts_per_tok", 2), ("partial_rotary_factor", 1),
    ] as [(String, JSON)] {
      config[key] = value
    }
    let before = config.object
    let layout = try CheckpointLayouts.layoutWithSelectionBias(for: &config)
    #expect(config.object == before)
    #expect(layout.configuration == (try CheckpointLayouts.layout(for: config)).configuration)
    config["model_type"] = "mixtral"
    config["num_local_experts"] = 4
    let error = #expect(throws: ModelError.self) {
      try CheckpointLayouts.layoutWithSelectionBias(for: &config)
    }
    #expect(error?.description.contains("need herd's own format or glm4_moe") == true)
  }

  private func export(_ herd: String) throws -> Export { try openExport(herd, to: .glm4_moe) }

  @Test(arguments: [("renormalized_sigmoid", 1), ("sigmoid", 2), ("renormalized_sigmoid", 0)])
  func predictsWhatTheHerdFolderDoes(rule: String, shared: Int) throws {
    let herd = try herd(rule: rule, shared: shared)
    let stock = "\(folder.path)/glm"
    try export(herd).run(to: stock)
    let config = try ConfigurationFile(contentsOf: "\(stock)/config.json")
    // What readers would otherwise take from GLM-4.5.
    #expect(config["partial_rotary_factor"] == 1.0)
    #expect(config["first_k_dense_replace"] == 1 && config["num_nextn_predict_layers"] == 0)
    #expect(config["n_shared_experts"] == JSON(max(1, shared)))
    #expect(config["norm_topk_prob"] == JSON(rule != "sigmoid"))
    #expect(config["routed_scaling_factor"] == 1.75)
    try expectSameLogits(stock, herd)
    let difference = try CheckpointComparison(openModel(herd).loader, openModel(stock).loader).run()
    #expect(difference.tensors.isEmpty)
    #expect(difference.isEmpty)
  }

  /// The noise of training is left out, and told.
  @Test func trainingNoiseIsLeftOut() throws {
    let export = try export(herd(rule: "sigmoid", shared: 1, ["noise_weight": true]))
    #expect(!export.outputs.contains { $0.name.contains("noise") })
    #expect(export.notes.count == 1 && export.notes[0].contains("1 router noise weights"))
    try export.run(to: "\(folder.path)/glm")
    _ = try openModel("\(folder.path)/glm").loader
  }

  /// Training stages may store weights in 16 bits; the bias that chooses experts stays as it is.
  @Test func selectionBiasesStayFull() throws {
    let (stock, again) = ("\(folder.path)/glm", "\(folder.path)/again")
    try export(herd(rule: "sigmoid", shared: 1)).run(to: stock)
    let (read, context) = try (openModel(stock).loader, Context())
    try Files.createFolder(again)
    try ModelWriter(layout: read.layout).write(
      read.model(in: context), to: again, elementType: .bf16, in: context)
    let written = try Checkpoint(folder: again)
    let name = "model.layers.1.mlp.gate.e_score_correction_bias"
    #expect(try written.tensor(name).elementType == .f32)
    #expect(try written.tensor("model.layers.1.mlp.gate.weight").elementType == .bf16)
    let expected = try Checkpoint(folder: stock).withBytes(of: name) { Array($0) }
    #expect(try written.withBytes(of: name) { Array($0) } == expected)
  }

  @Test func whatADenseModelLosesIsNamed() throws {
    let herd = try herd(
      rule: "sigmoid", shared: 1,
      ["router_kind": "tanh_pair", "score_threshold": 0.25, "output_bias": true])
    let losses = Densification.losses(try openModel(herd).loader, rewritten: 0)
    for words in ["1 routers", "1 hidden router layers", "1 score thresholds", "1 output biases"] {
      #expect(losses.contains(words), "\(losses)")
    }
    let error = #expect(throws: ConstructionError.self) { try export(herd) }
    #expect(error?.description.contains("a tanh between") == true)
  }

  @Test func theSameAsAFileForLlamaCpp() throws {
    let herd = try herd(rule: "renormalized_sigmoid", shared: 1)
    let source = try openModel(herd).loader
    let export = try GGUFExport(
      source, configuration: ConfigurationFile(contentsOf: "\(herd)/config.json"), ends: [])
    try export.run(to: "\(folder.path)/model.gguf")
    let file = try GGUFReader("\(folder.path)/model.gguf")
    #expect(file.metadata["glm4moe.leading_dense_block_count"] == "1")
    #expect(file.metadata["glm4moe.expert_gating_func"] == "2")
    #expect(file.metadata["glm4moe.expert_weights_norm"] == "true")
    #expect(file.metadata["glm4moe.expert_weights_scale"] == "1.75")
    #expect(file.metadata["glm4moe.feed_forward_length"] == "24")
    #expect(file.metadata["glm4moe.expert_feed_forward_length"] == "6")
    #expect(
      try file.tensors["blk.1.exp_probs_b.bias"]?.values
        == source.floats("model.layers.1.mlp.router.selection_bias", 0..<3))
    #expect(file.tensors["blk.0.ffn_gate.weight"]?.shape == [24, 16])
    #expect(file.tensors["blk.0.exp_probs_b.bias"] == nil)
  }

  @Test func whatItCannotHoldIsRefused() throws {
    func refusal(_ rule: String, mixtureFirst: Bool = false) throws -> String {
      do {
        _ = try export(herd(rule: rule, shared: 1, mixtureFirst: mixtureFirst))
        return "held"
      } catch let error as ConstructionError { return error.description }
    }
    #expect(try refusal("softmax").contains("granitemoeshared"))
    try Files.remove("\(folder.path)/herd")
    #expect(try refusal("sigmoid", mixtureFirst: true).contains("leading dense ones"))
  }

  @Test(arguments: [
    ("n_group", JSON(2), "n_group 2"), ("use_qk_norm", JSON(true), "use_qk_norm"),
    ("partial_rotary_factor", JSON(0.5), "partial_rotary_factor 0.5"),
    ("n_shared_experts", JSON(-1), "n_shared_experts"),
  ])
  func readersRefuseOtherFunctions(key: String, value: JSON, words: String) throws {
    let stock = "\(folder.path)/glm"
    try export(herd(rule: "sigmoid", shared: 1)).run(to: stock)
    var config = try ConfigurationFile(contentsOf: "\(stock)/config.json")
    config[key] = value
    let error = #expect(throws: (any Error).self) { try CheckpointLayouts.layout(for: config) }
    #expect(error.map { "\($0)" }?.contains(words) == true)
  }
}
