import Formats
import Numerics
import TestSupport
import Testing

@testable import ExpertConstruction

@Suite struct ConversionTests {
  /// Every strategy in every format that can hold it: proved per layer and restored to the byte.
  @Test(arguments: StrategyName.allCases, OutputFormat.allCases)
  func convertsProvesAndRestores(strategy: StrategyName, format: OutputFormat) throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(try SmallCheckpoint().write(in: folder))
    let shared = strategy.shared(near: format == .mixtral ? 0 : 1)
    let settings = ConversionSettings(
      experts: 4 - shared, topK: format == .granitemoeshared ? 2 : 1, shared: shared,
      strategy: strategy, format: format, shardLimit: 1500, hasCalibrationData: true)
    guard strategy.fits(format) else {
      let error = #expect(throws: ConstructionError.self) { try ConversionPlan(source, settings) }
      #expect(error?.description.contains("--format \(format.rawValue) cannot hold") == true)
      return
    }
    let plan = try ConversionPlan(source, settings)
    let output = "\(folder.path)/moe"
    let report = try Conversion(plan, checkpoint: checkpoint, context: context).run(
      to: output, calibration: NoiseCalibration(context: context, hidden: 8),
      gradients: noiseGradients(experts: 4 - shared, hidden: 8, width: 24))
    #expect(report.layerErrors.count == 2)
    #expect(zip(report.layerErrors, report.layerMagnitudes).allSatisfy { $0 <= 1e-5 * $1 })
    let written = try Checkpoint(folder: output)
    #expect(Set(written.tensors.map(\.name)) == Set(plan.outputs.map(\.name)))
    let ledger = try ByteLedger(contentsOf: "\(output)/\(ByteLedger.fileName)")
    #expect(ledger == report.ledger)
    let verification = try LedgerVerification(written, ledger, against: checkpoint)
    #expect(verification.isExact)
    #expect(verification.rounded.isEmpty)
    #expect(verification.restored == source.tensors.count)
    let elements = source.tensors.reduce(0) { $0 + $1.elementCount }
    // Of a neuron that is left out three vectors of 8 are missing.
    #expect(verification.elements == elements - 3 * 8 * ledger.droppedNeurons)
    #expect((ledger.neuronNote == nil) == (strategy.make().form == .partition))
    let names = try Files.names(inFolder: output)
    for name in ["config.json", "tokenizer.json", "LICENSE", "README.md"] {
      #expect(names.contains(name), "\(name)")
    }
    #expect(folder.names == ["dense", "moe"])
  }

  @Test(arguments: [ElementType.f32, .f16])
  func otherElementTypesRestoreToo(type: ElementType) throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(
      try SmallCheckpoint(elementType: type).write(in: folder))
    let settings = ConversionSettings(
      experts: 2, topK: 1, shared: 1, strategy: .random, router: .random, format: .qwen2_moe)
    let output = "\(folder.path)/moe"
    _ = try Conversion(
      try ConversionPlan(source, settings), checkpoint: checkpoint, context: context
    )
    .run(to: output)
    let ledger = try ByteLedger(contentsOf: "\(output)/\(ByteLedger.fileName)")
    let verification = try LedgerVerification(try Checkpoint(folder: output), ledger)
    #expect(verification.isExact && verification.rounded.isEmpty)
    #expect(ledger.rounding == nil)
  }

  @Test func scalesThatRoundAreStated() throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(try SmallCheckpoint().write(in: folder))
    let settings = ConversionSettings(
      experts: 6, topK: 2, shared: 0, strategy: .sequential, router: .random, format: .mixtral)
    let output = "\(folder.path)/moe"
    let report = try Conversion(
      try ConversionPlan(source, settings), checkpoint: checkpoint, context: context
    ).run(to: output)
    #expect(report.ledger.rounding == "down projections times 3.0 are rounded to BF16")
    let verification = try LedgerVerification(try Checkpoint(folder: output), report.ledger)
    #expect(verification.isExact)
    #expect(verification.rounded == (0..<2).map { "model.layers.\($0).mlp.down_proj.weight" })
    let stated = try ConfigurationFile(contentsOf: "\(output)/config.json")
    #expect(stated["herd_export"]?["folded_scale"]?.double == 3)
  }

  @Test func aCorruptedByteIsFound() throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(try SmallCheckpoint(layers: 1).write(in: folder))
    let settings = ConversionSettings(
      experts: 3, topK: 1, shared: 1, strategy: .random, router: .random)
    let output = "\(folder.path)/moe"
    let report = try Conversion(
      try ConversionPlan(source, settings), checkpoint: checkpoint, context: context
    ).run(to: output)
    let file = "\(output)/model.safetensors"
    let written = try Checkpoint(folder: output)
    let tensor = try written.tensor("model.layers.0.mlp.experts.1.up_proj.weight")
    var bytes = try Files.read(file)
    let data = bytes.count - written.totalBytes
    bytes[data + tensor.byteRange.lowerBound + 3] ^= 1
    try Files.write(bytes, to: file)
    let verification = try LedgerVerification(try Checkpoint(folder: output), report.ledger)
    #expect(verification.different == ["model.layers.0.mlp.up_proj.weight"])
    #expect(!verification.isExact)
  }

  @Test func aLedgerWithAMissingOrRepeatedNeuronIsRefused() throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(try SmallCheckpoint(layers: 1).write(in: folder))
    let settings = ConversionSettings(
      experts: 3, topK: 1, shared: 1, strategy: .sequential, router: .random)
    let report = try Conversion(
      try ConversionPlan(source, settings), checkpoint: checkpoint, context: context
    ).run(to: "\(folder.path)/moe")
    let text = report.ledger.json.serialized()
    func problem(_ edit: (String) -> String) -> String? {
      do {
        let file = try ConfigurationFile(path: "ledger", bytes: Array(edit(text).utf8))
        _ = try ByteLedger(file)
        return nil
      } catch { return "\(error)" }
    }
    let lists = "[[6,7,8,9,10,11],[12,13,14,15,16,17],[18,19,20,21,22,23]]"
    let compact = text.split(separator: " ").joined()
    #expect(compact.contains(lists))
    func replacing(_ old: String, _ new: String) -> (String) -> String {
      { text in
        let compact = text.split(separator: " ").joined()
        let parts = compact.split(separator: old, omittingEmptySubsequences: false)
        return parts.joined(separator: new)
      }
    }
    #expect(problem { $0 } == nil)
    #expect(problem(replacing("22,23]]", "22,22]]"))?.contains("used twice") == true)
    #expect(problem(replacing("22,23]]", "22]]"))?.contains("has 5 neurons") == true)
    #expect(problem(replacing("22,23]]", "22,24]]"))?.contains("does not exist") == true)
  }

  @Test func weightsThatAreNotFiniteAreNamed() throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let name = "model.layers.1.mlp.up_proj.weight"
    let (source, checkpoint) = try openDense(try SmallCheckpoint(damaged: name).write(in: folder))
    let plan = try ConversionPlan(
      source, ConversionSettings(experts: 3, strategy: .random, router: .random))
    let error = #expect(throws: ConstructionError.self) {
      try Conversion(plan, checkpoint: checkpoint, context: context).run(to: "\(folder.path)/moe")
    }
    #expect(error?.description.contains(name) == true)
    #expect(folder.names == ["dense"])
  }

  @Test func anInterruptedConversionLeavesNothing() throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(try SmallCheckpoint().write(in: folder))
    let plan = try ConversionPlan(
      source, ConversionSettings(experts: 3, hasCalibrationData: true))
    #expect(throws: NoiseCalibration.Interrupted.self) {
      try Conversion(plan, checkpoint: checkpoint, context: context).run(
        to: "\(folder.path)/moe",
        calibration: NoiseCalibration(context: context, hidden: 8, failingAt: 1))
    }
    #expect(folder.names == ["dense"])
  }

  @Test func anExistingFolderIsRefusedUnlessForced() throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(try SmallCheckpoint().write(in: folder))
    let plan = try ConversionPlan(
      source, ConversionSettings(experts: 3, strategy: .random, router: .random))
    let conversion = try Conversion(plan, checkpoint: checkpoint, context: context)
    let output = "\(folder.path)/moe"
    _ = try conversion.run(to: output)
    let before = try Files.read("\(output)/model.safetensors")
    #expect(throws: FileError.self) { try conversion.run(to: output) }
    _ = try conversion.run(to: output, force: true)
    #expect(try Files.read("\(output)/model.safetensors") == before)
  }
}
