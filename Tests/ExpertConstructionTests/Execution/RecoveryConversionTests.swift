import Formats
import Numerics
import TestSupport
import Testing

@testable import ExpertConstruction

@Suite struct RecoveryConversionTests {
  private func settings(
    _ recovery: RecoveryName, _ format: OutputFormat = .herd
  ) -> ConversionSettings {
    var settings = ConversionSettings(
      experts: format == .mixtral ? 4 : 3, topK: 1, shared: format == .mixtral ? 0 : 1,
      strategy: .random, format: format)
    settings.recovery = recovery
    return settings
  }

  /// What recovery rewrote is in the ledger as made; everything else comes back to the byte.
  @Test(arguments: RecoveryName.allCases, [ElementType.bf16, .f32])
  func whatIsRewrittenIsStated(recovery: RecoveryName, type: ElementType) throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(
      try SmallCheckpoint(elementType: type).write(in: folder))
    let plan = try ConversionPlan(source, settings(recovery))
    let output = "\(folder.path)/moe"
    let report = try Conversion(plan, checkpoint: checkpoint, context: context).run(
      to: output, calibration: NoiseCalibration(context: context, hidden: 8))
    let written = try Checkpoint(folder: output)
    #expect(Set(written.tensors.map(\.name)) == Set(plan.outputs.map(\.name)))
    let ledger = try ByteLedger(contentsOf: "\(output)/\(ByteLedger.fileName)")
    #expect(ledger == report.ledger)
    #expect(zip(report.layerErrors, report.layerMagnitudes).allSatisfy { $0 <= 1e-5 * $1 })
    let downs = (0..<2).map { "model.layers.\($0).mlp.down_proj.weight" }
    let isRewritten = recovery != .none && recovery != .affine
    let verification = try LedgerVerification(written, ledger, against: checkpoint)
    #expect(verification.isExact && verification.rounded.isEmpty)
    let rewritten = isRewritten ? downs : []
    #expect(ledger.source.filter { $0.rewrittenSHA256 != nil }.map(\.name) == rewritten)
    #expect(verification.rewritten == rewritten)
    #expect(verification.restored == source.tensors.count - rewritten.count)
    var found: [String] = []
    try LedgerVerification.rewrittenMatrices(of: ledger, in: written) { name, bytes in
      try checkpoint.withBytes(of: name) { #expect(!$0.elementsEqual(bytes)) }
      found.append(name)
    }
    #expect(found == rewritten)
    let hasBias = recovery.make()?.addsBias == true
    #expect((written["model.layers.1.mlp.bias"] != nil) == hasBias)
    #expect(report.missedShares.count == (recovery == .none ? 0 : 2))
    if recovery != .align {
      #expect(report.missedShares.allSatisfy { $0.after < $0.before })
    }
  }

  @Test(arguments: [OutputFormat.mixtral, .qwen2_moe, .granitemoeshared])
  func stockFormatsHoldScalesAndRefuseBiases(_ format: OutputFormat) throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(try SmallCheckpoint().write(in: folder))
    let output = "\(folder.path)/moe"
    _ = try Conversion(
      try ConversionPlan(source, settings(.scale, format)), checkpoint: checkpoint,
      context: context
    ).run(to: output, calibration: NoiseCalibration(context: context, hidden: 8))
    let ledger = try ByteLedger(contentsOf: "\(output)/\(ByteLedger.fileName)")
    let verification = try LedgerVerification(try Checkpoint(folder: output), ledger)
    #expect(verification.isExact && verification.rewritten.count == 2)
    for recovery in [RecoveryName.affine, .align] {
      let error = #expect(throws: ConstructionError.self) {
        try ConversionPlan(source, settings(recovery, format))
      }
      #expect(error?.description.contains("end in a bias") == true)
    }
  }

  @Test func settingsThatContradictThemselvesAreRefused() throws {
    let folder = TemporaryFolder()
    let (source, checkpoint) = try openDense(try SmallCheckpoint().write(in: folder))
    var dense = settings(.scale)
    dense.keepsMLPs = true
    dense.attention = AttentionSettings(strategy: .heads)
    var error = #expect(throws: ConstructionError.self) { try ConversionPlan(source, dense) }
    #expect(error?.description.contains("they stay dense") == true)
    var unshared = settings(.refitShared)
    unshared.shared = 0
    error = #expect(throws: ConstructionError.self) { try ConversionPlan(source, unshared) }
    #expect(error?.description.contains("needs shared units") == true)
    _ = checkpoint
  }

  /// A corrupted byte of a rewritten matrix is found as one of a restored matrix is.
  @Test func aCorruptedRewrittenMatrixIsFound() throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(try SmallCheckpoint(layers: 1).write(in: folder))
    let output = "\(folder.path)/moe"
    let report = try Conversion(
      try ConversionPlan(source, settings(.refit)), checkpoint: checkpoint, context: context
    ).run(to: output, calibration: NoiseCalibration(context: context, hidden: 8))
    let file = "\(output)/model.safetensors"
    let written = try Checkpoint(folder: output)
    let tensor = try written.tensor("model.layers.0.mlp.experts.1.down_proj.weight")
    var bytes = try Files.read(file)
    bytes[bytes.count - written.totalBytes + tensor.byteRange.lowerBound + 2] ^= 1
    try Files.write(bytes, to: file)
    let verification = try LedgerVerification(try Checkpoint(folder: output), report.ledger)
    #expect(verification.different == ["model.layers.0.mlp.down_proj.weight"])
  }
}
