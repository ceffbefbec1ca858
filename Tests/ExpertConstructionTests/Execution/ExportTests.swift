import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import ExpertConstruction

@Suite struct ExportTests {
  /// Exporting a herd model equals converting straight into the format.
  @Test(arguments: [OutputFormat.granitemoeshared, .qwen2_moe])
  func equalsADirectConversion(format: OutputFormat) throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(try SmallCheckpoint().write(in: folder))
    func convert(_ format: OutputFormat, _ name: String) throws -> String {
      let settings = ConversionSettings(
        experts: 3, topK: 1, shared: 1, strategy: .clusterWeights, router: .centroid,
        format: format)
      let path = "\(folder.path)/\(name)"
      _ = try Conversion(
        try ConversionPlan(source, settings), checkpoint: checkpoint, context: context
      ).run(to: path)
      return path
    }
    let herd = try convert(.herd, "herd")
    let direct = try convert(format, "direct")
    let export = try Export(
      try Checkpoint(folder: herd),
      configuration: try ConfigurationFile(contentsOf: "\(herd)/config.json"), to: format)
    #expect(export.rounding == nil && export.notes.isEmpty)
    let again = #expect(throws: ConstructionError.self) {
      try Export(
        Checkpoint(folder: herd),
        configuration: ConfigurationFile(contentsOf: "\(herd)/config.json"), to: .herd)
    }
    #expect(again?.description.contains("in the herd format already") == true)
    let exported = "\(folder.path)/exported"
    try export.run(to: exported)
    for name in try Files.names(inFolder: direct) where name != "README.md" {
      let (given, expected) = try (
        Files.read("\(exported)/\(name)"), Files.read("\(direct)/\(name)")
      )
      #expect(given == expected, "\(name)")
    }
    let verification = try LedgerVerification(
      try Checkpoint(folder: exported),
      try ByteLedger(contentsOf: "\(exported)/\(ByteLedger.fileName)"), against: checkpoint)
    #expect(verification.isExact && verification.rounded.isEmpty)
  }

  @Test func trainedGainsAndRouterBiasesAreRefused() throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(try SmallCheckpoint().write(in: folder))
    func refusal(_ router: RouterName, gain: Float) throws -> String? {
      let path = "\(folder.path)/\(router)\(gain)"
      let settings = ConversionSettings(
        experts: 3, topK: 1, shared: 1, strategy: .random, router: router,
        rule: .gained, hasCalibrationData: true)
      _ = try Conversion(
        try ConversionPlan(source, settings), checkpoint: checkpoint, context: context
      ).run(to: path, calibration: NoiseCalibration(context: context, hidden: 8))
      let written = try Checkpoint(folder: path)
      let tensor = try written.tensor("model.layers.1.mlp.router.gain")
      let file = "\(path)/model.safetensors"
      var bytes = try Files.read(file)
      let start = bytes.count - written.totalBytes + tensor.byteRange.lowerBound
      withUnsafeBytes(of: gain) { bytes.replaceSubrange(start..<start + 4, with: $0) }
      try Files.write(bytes, to: file)
      do {
        _ = try Export(
          try Checkpoint(folder: path),
          configuration: try ConfigurationFile(contentsOf: "\(path)/config.json"),
          to: .granitemoeshared)
        return nil
      } catch { return "\(error)" }
    }
    #expect(try refusal(.random, gain: 0) == nil)
    let gain = try refusal(.random, gain: 0.25)
    #expect(gain?.contains("trained u") == true)
    let bias = try refusal(.regressed, gain: 0)
    #expect(bias?.contains("no router bias") == true)
  }

  /// Models reads what was written, and with all experts the whole model equals the dense one.
  @Test(arguments: OutputFormat.convertible.filter { $0 != .llama })
  func modelsReadsEveryFormat(format: OutputFormat) throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let path = try SmallCheckpoint(elementType: .f32).write(in: folder)
    let (source, checkpoint) = try openDense(path)
    let settings = ConversionSettings(
      experts: format == .mixtral ? 4 : 3, topK: format == .granitemoeshared ? 2 : 1,
      shared: format == .mixtral ? 0 : 1, format: format, hasCalibrationData: true)
    let dense = try ModelLoader(
      layout: try CheckpointLayouts.layout(for: source.configuration), checkpoint: checkpoint)
    let documents: [[Int32]] = [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11, 12], [3, 1, 4, 1, 5]]
    let output = "\(folder.path)/moe"
    _ = try Conversion(
      try ConversionPlan(source, settings), checkpoint: checkpoint, context: context
    ).run(
      to: output,
      calibration: try DenseCalibration(
        dense, documents: documents, batchTokens: 6, context: context))
    let configuration = try ConfigurationFile(contentsOf: "\(output)/config.json")
    let loader = try ModelLoader(
      layout: try CheckpointLayouts.layout(for: configuration),
      checkpoint: try Checkpoint(folder: output))
    let model = try loader.model(in: context)
    let tokens: [Int32] = [0, 5, 9, 2, 15, 7]
    let expected = context.read(try dense.model(in: context).logits(tokens, in: context))
    let given = model.choosingAllExperts { context.read(model.logits(tokens, in: context)) }
    let largest = expected.map(abs).max() ?? 0
    #expect(zip(expected, given).allSatisfy { abs($0 - $1) <= 1e-4 * max(1, largest) })
    let routed = context.read(model.logits(tokens, in: context))
    #expect(routed.allSatisfy { $0.isFinite })
    #expect(zip(expected, routed).contains { abs($0 - $1) > 1e-3 })
  }

  /// What a block's MLP sees in the stream equals what it sees in the whole model.
  @Test func calibrationStreamsTheModelsOwnActivations() throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(
      try SmallCheckpoint(elementType: .f32).write(in: folder))
    let loader = try ModelLoader(
      layout: try CheckpointLayouts.layout(for: source.configuration), checkpoint: checkpoint)
    let tokens: [Int32] = [4, 8, 15, 1, 6, 2, 3]
    let calibration = try DenseCalibration(
      loader, documents: [tokens, []], batchTokens: 100, context: context)
    #expect(calibration.tokens == 7)
    let model = try loader.model(in: context)
    let layout = SequenceLayout(count: tokens.count, in: context)
    var x_TD = context.embedding(
      context.tensor(tokens, [tokens.count]), weight: model.embedding.tensor)
    for (index, block) in model.blocks.enumerated() {
      let mixed = block.mix(x_TD, layout: layout, in: context).output
      let expected = block.mlpInput(mixed, in: context)
      x_TD = block(x_TD, layout: layout, in: context).output
      var given: [Float] = []
      try calibration.inputs(ofLayer: index).forEachBatch { given += context.read($0) }
      #expect(given == context.read(expected))
    }
    let error = #expect(throws: ConstructionError.self) {
      _ = try DenseCalibration(loader, documents: [[16]], context: context)
    }
    #expect(error?.description.contains("vocabulary of 16") == true)
  }

  @Test func sampledTextIsSeededAndHasTheAskedLength() throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(try SmallCheckpoint().write(in: folder))
    let model = try ModelLoader(
      layout: try CheckpointLayouts.layout(for: source.configuration), checkpoint: checkpoint
    ).model(in: context)
    func sample(_ seed: UInt64) throws -> [[Int32]] {
      try SampledText.documents(
        from: model, prompts: [[1]], tokens: 60, documentLength: 12, stop: [2], seed: seed,
        in: context)
    }
    let documents = try sample(1)
    #expect(try documents == sample(1))
    #expect(try documents != sample(2))
    #expect((60...60 + 32).contains(documents.reduce(0) { $0 + $1.count }))
    #expect(documents.allSatisfy { $0.first == 1 && $0.count <= 12 })
    #expect(throws: ConstructionError.self) {
      try SampledText.documents(
        from: model, prompts: [], tokens: 5, stop: [], seed: 0, in: context)
    }
  }
}
