import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import ExpertConstruction

/// Whole files, read back and compared with the parameters they were made from.
@Suite struct GGUFExportTests {
  private let folder = TemporaryFolder()

  private func dense(_ type: ElementType) throws -> String {
    let path = try SmallCheckpoint(elementType: type).write(in: folder)
    try Files.remove("\(path)/tokenizer.json")
    return path
  }

  private func convert(_ dense: String, _ settings: ConversionSettings, _ name: String) throws
    -> String
  {
    let (source, checkpoint) = try openDense(dense)
    let path = "\(folder.path)/\(name)"
    _ = try Conversion(
      ConversionPlan(source, settings), checkpoint: checkpoint, context: Context()
    ).run(to: path)
    return path
  }

  private func export(_ path: String, _ weights: GGUFExport.Weights? = nil) throws -> (
    file: GGUFReader, loader: ModelLoader, export: GGUFExport
  ) {
    let (loader, config) = try openModel(path)
    let export = try GGUFExport(loader, configuration: config, weights: weights, ends: [])
    let target = "\(folder.path)/model.gguf"
    try export.run(to: target, force: true)
    return (try GGUFReader(target), loader, export)
  }

  @Test(arguments: [ElementType.bf16, .f32, .f16])
  func aDenseModelKeepsItsValues(type: ElementType) throws {
    let (file, loader, export) = try export(dense(type))
    #expect(export.weights == (type == .bf16 ? .bf16 : .f32))
    #expect(file.metadata["general.architecture"] == "llama")
    #expect(file.metadata["llama.attention.head_count_kv"] == "2")
    #expect(file.metadata["llama.rope.freq_base"] == "500000.0")
    #expect(file.metadata["tokenizer.ggml.model"] == "none")
    let names = [
      "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
      "model.layers.1.mlp.down_proj.weight": "blk.1.ffn_down.weight",
      "model.layers.0.self_attn.v_proj.weight": "blk.0.attn_v.weight",
      "model.layers.1.post_attention_layernorm.weight": "blk.1.ffn_norm.weight",
    ]
    for shape in loader.layout.configuration.parameterShapes {
      guard let name = names[shape.name] else { continue }
      let tensor = try #require(file.tensors[name])
      #expect(tensor.shape == shape.shape)
      #expect(try tensor.values == loader.floats(shape.name, 0..<shape.shape.reduce(1, *)))
    }
    #expect(file.tensors.count == loader.layout.configuration.parameterShapes.count)
    #expect(file.tensors["blk.0.attn_norm.weight"]?.type == 0)
  }

  /// Row 2i of a head is its row i, row 2i + 1 its row i + d/2.
  @Test func queryAndKeyRowsAreInterleaved() throws {
    #expect(
      GGUFSource.interleaved([0, 1, 2, 3, 4, 5, 6, 7], head: 4, width: 1)
        == [0, 2, 1, 3, 4, 6, 5, 7])
    #expect(
      GGUFSource.interleaved([0, 0, 1, 1, 2, 2, 3, 3], head: 4, width: 2)
        == [0, 0, 2, 2, 1, 1, 3, 3])
  }

  @Test func expertsAreStackedAndScaled() throws {
    let moe = try convert(
      dense(.bf16),
      ConversionSettings(
        experts: 4, topK: 2, shared: 0, strategy: .random, router: .random,
        rule: .renormalizedSoftmax, scale: 2), "moe")
    let (file, loader, _) = try export(moe, .f32)
    #expect(file.metadata["llama.expert_count"] == "4")
    #expect(file.metadata["llama.expert_used_count"] == "2")
    #expect(file.metadata["llama.feed_forward_length"] == "6")
    let down = try #require(file.tensors["blk.1.ffn_down_exps.weight"])
    #expect(down.shape == [4, 8, 6])
    #expect(
      try down.values
        == loader.floats("model.layers.1.mlp.experts.down_proj", 0..<192).map { $0 * 2 })
    let router = try #require(file.tensors["blk.0.ffn_gate_inp.weight"])
    #expect(router.shape == [4, 8] && router.type == 0)
  }

  @Test func chosenExpertsAtWeightOne() throws {
    let moe = try convert(
      dense(.bf16),
      ConversionSettings(
        experts: 3, topK: 2, shared: 0, strategy: .sequential, router: .random, rule: .gained),
      "moe")
    let (file, loader, export) = try export(moe, .f32)
    #expect(export.notes.contains { $0.contains("one of zeros") })
    #expect(file.metadata["glm4moe.expert_gating_func"] == "3")
    #expect(file.metadata["glm4moe.expert_weights_norm"] == "false")
    #expect(file.metadata["glm4moe.expert_weights_scale"] == "2.0")
    #expect(file.metadata["glm4moe.expert_shared_count"] == "1")
    #expect(file.tensors["blk.0.ffn_up_shexp.weight"]?.values.allSatisfy { $0 == 0 } == true)
    #expect(file.tensors["blk.1.exp_probs_b.bias"]?.values == [0, 0, 0])
    #expect(
      try file.tensors["blk.0.ffn_gate_inp.weight"]?.values
        == loader.floats("model.layers.0.mlp.router.weight", 0..<24).map { $0 * 0x1p-30 })
    #expect(
      try file.tensors["blk.0.attn_q.weight"]?.values
        == loader.floats("model.layers.0.self_attn.q_proj.weight", 0..<64))
    #expect(file.tensors["blk.0.post_attention_norm.weight"] != nil)
  }

  /// Rows of 8 are no blocks of 32: they stay at 16 bits, and the file says so.
  @Test func quantisedFilesSayWhatTheyKeep() throws {
    let (file, _, export) = try export(dense(.bf16), .q8_0)
    #expect(file.metadata["general.file_type"] == "7")
    #expect(export.notes.contains { $0.contains("no multiple of 32") })
    #expect(file.tensors["token_embd.weight"]?.type == 30)
  }

  @Test func damagedWeightsLeaveNothing() throws {
    let path = try SmallCheckpoint(damaged: "model.layers.1.mlp.up_proj.weight").write(in: folder)
    try Files.remove("\(path)/tokenizer.json")
    let error = #expect(throws: ConstructionError.self) { try export(path) }
    #expect(error?.description.contains("model.layers.1.mlp.up_proj.weight") == true)
    #expect(folder.names == ["dense"])
  }
}
