import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import ExpertConstruction

@Suite struct JetMoEExportTests {
  private let folder = TemporaryFolder()

  /// A dense model with the ε JetMoE has, four query heads over two key heads.
  private func dense(_ type: ElementType = .f32) throws -> String {
    let path = try SmallCheckpoint(elementType: type).write(in: folder)
    try setEpsilon(1e-6, path)
    return path
  }

  private func setEpsilon(_ value: Double, _ path: String) throws {
    var config = try ConfigurationFile(contentsOf: "\(path)/config.json")
    config["rms_norm_eps"] = JSON(value)
    try config.write(to: "\(path)/config.json")
  }

  private func convert(
    _ dense: String, topK: Int = 1, experts: Int = 2, rule: CombinationRule = .renormalizedSoftmax,
    attention: AttentionStrategyName = .moa
  ) throws -> String {
    let (source, checkpoint) = try openDense(dense)
    var settings = ConversionSettings(
      experts: experts, topK: topK, shared: 0, strategy: .random, router: .random, rule: rule)
    settings.attention = AttentionSettings(strategy: attention, topK: topK)
    let path = "\(folder.path)/moe"
    _ = try Conversion(
      ConversionPlan(source, settings), checkpoint: checkpoint, context: Context()
    ).run(to: path, force: true)
    return path
  }

  private func export(_ herd: String) throws -> Export { try openExport(herd, to: .jetmoe) }

  @Test(arguments: [
    (1, CombinationRule.renormalizedSoftmax), (2, .renormalizedSoftmax), (2, .gained),
  ])
  func predictsWhatTheHerdFolderDoes(topK: Int, rule: CombinationRule) throws {
    let herd = try convert(dense(), topK: topK, rule: rule)
    let stock = "\(folder.path)/jetmoe"
    try export(herd).run(to: stock)
    try expectSameLogits(stock, herd)
    #expect(!Files.exists("\(stock)/\(ByteLedger.fileName)"))
    let difference = try CheckpointComparison(openModel(herd).loader, openModel(stock).loader).run()
    // Folded scales are undone; only a flattened router is another, and gains are left out.
    #expect(difference.tensors.allSatisfy { $0.name.hasSuffix("mlp.router.weight") })
    #expect(difference.isEmpty == (rule != .gained))
  }

  /// Expert m has the m-th query head of every key head: rows of q, columns of o, keys then values.
  @Test func piecesAreWhereTheFormatHasThem() throws {
    let herd = try convert(dense(.bf16), topK: 1)
    let stock = "\(folder.path)/jetmoe"
    try export(herd).run(to: stock)
    let (source, target) = try (Checkpoint(folder: herd), Checkpoint(folder: stock))
    func rows(_ checkpoint: Checkpoint, _ name: String) throws -> [UInt16] {
      try checkpoint.withBytes(of: "model.layers.1.\(name)") {
        Array($0.bindMemory(to: UInt16.self))
      }
    }
    let (q, o) = try (
      rows(source, "self_attn.q_proj.weight"), rows(source, "self_attn.o_proj.weight")
    )
    let (input, output) = try (
      rows(target, "self_attention.experts.input_linear.weight"),
      rows(target, "self_attention.experts.output_linear.weight")
    )
    // Heads of 2 channels, 2 key heads, 2 experts, hidden size 8; query head g·2 + m is in expert m.
    for expert in 0..<2 {
      for key in 0..<2 {
        for channel in 0..<2 {
          let (own, there) = ((key * 2 + expert) * 2 + channel, key * 2 + channel)
          for column in 0..<8 {
            #expect(input[(expert * 4 + there) * 8 + column] == q[own * 8 + column])
            #expect(output[(expert * 8 + column) * 4 + there] == o[column * 8 + own])
          }
        }
      }
    }
    let both = try rows(source, "self_attn.k_proj.weight") + rows(source, "self_attn.v_proj.weight")
    #expect(try rows(target, "self_attention.kv_proj.weight") == both)
    #expect(try rows(target, "mlp.bias").allSatisfy { $0 == 0 })
    let config = try ConfigurationFile(contentsOf: "\(stock)/config.json")
    #expect(try config.integer("kv_channels") == 2)
    #expect(config["num_attention_heads"] == nil && config["tie_word_embeddings"] == true)
  }

  /// A folder that was written is read, and written again, as it is.
  @Test func modelsWritesWhatItReads() throws {
    let stock = "\(folder.path)/jetmoe"
    try export(convert(dense(), topK: 2)).run(to: stock)
    let (context, read) = try (Context(), openModel(stock).loader)
    let again = "\(folder.path)/again"
    try Files.createFolder(again)
    try ModelWriter(layout: read.layout).write(
      read.model(in: context), to: again, elementType: .f32, in: context)
    let (first, second) = try (Checkpoint(folder: stock), Checkpoint(folder: again))
    #expect(Set(first.tensors.map(\.name)) == Set(second.tensors.map(\.name)))
    for tensor in first.tensors {
      let bytes = try first.withBytes(of: tensor.name) { Array($0) }
      #expect(try second.withBytes(of: tensor.name) { Array($0) } == bytes, "\(tensor.name)")
    }
  }

  @Test func anOutputBiasIsNotLost() throws {
    let stock = "\(folder.path)/jetmoe"
    try export(convert(dense())).run(to: stock)
    let checkpoint = try Checkpoint(folder: stock)
    let place = try checkpoint.tensor("model.layers.0.mlp.bias")
    let file = "\(stock)/model.safetensors"
    var bytes = try Files.read(file)
    bytes[bytes.count - checkpoint.totalBytes + place.byteRange.lowerBound + 3] = 0x3f
    try Files.write(bytes, to: file)
    let error = #expect(throws: ModelError.self) { try openModel(stock).loader }
    #expect(error?.description.contains("model.layers.0.mlp.bias is not zero") == true)
  }

  @Test func whatItCannotHoldIsRefused() throws {
    func refusal(_ herd: String) throws -> String {
      do {
        _ = try export(herd)
        return "held"
      } catch let error as ConstructionError { return error.description }
    }
    let dense = try dense()
    #expect(try refusal(convert(dense)) == "held")
    #expect(try refusal(convert(dense, experts: 4)).contains("--experts 2 --top-k 1"))
    #expect(try refusal(convert(dense, attention: .keyGroup)).contains("--attention moa"))
    try setEpsilon(1e-5, dense)
    #expect(try refusal(convert(dense)).contains("ε 1e-06"))
    let (source, _) = try openDense(dense)
    var settings = ConversionSettings(
      experts: 2, shared: 0, strategy: .random, router: .random, format: .jetmoe)
    settings.attention = AttentionSettings(strategy: .moa, topK: 1)
    settings.rule = .renormalizedSoftmax
    #expect(throws: ConstructionError.self) { try ConversionPlan(source, settings) }
  }
}
