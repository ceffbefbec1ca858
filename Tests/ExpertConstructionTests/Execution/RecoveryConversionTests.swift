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
    if format == .jetmoe {
      (settings.experts, settings.shared) = (2, 0)
      (settings.router, settings.rule) = (.random, .renormalizedSoftmax)
      settings.attention = AttentionSettings(strategy: .moa, topK: 1)
    }
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

  @Test(arguments: [OutputFormat.mixtral, .qwen2_moe, .granitemoeshared, .glm4_moe, .jetmoe])
  func stockFormatsHoldScalesAndRefuseBiases(_ format: OutputFormat) throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(try SmallCheckpoint().write(in: folder))
    let output = "\(folder.path)/moe"
    func convert(_ settings: ConversionSettings) throws {
      _ = try Conversion(
        try ConversionPlan(source, settings), checkpoint: checkpoint, context: context
      ).run(
        to: output, force: true, calibration: NoiseCalibration(context: context, hidden: 8))
    }
    var herd = settings(.affine, format)
    herd.format = .herd
    try convert(herd)
    let lost = #expect(throws: ConstructionError.self) {
      try Export(
        Checkpoint(folder: output),
        configuration: ConfigurationFile(contentsOf: "\(output)/config.json"), to: format)
    }
    #expect(lost?.description.contains("end in a bias") == true)
    if format == .jetmoe { return }  // Only exports write it.
    try convert(settings(.scale, format))
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

  /// Layers that share other numbers of units are put together by their own.
  @Test func searchedSharedUnitsAreRecovered() throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(try SmallCheckpoint().write(in: folder))
    var settings = ConversionSettings(experts: 4, topK: 2, shared: 2, strategy: .random)
    (settings.recovery, settings.sharedPerLayer) = (.scale, [1, 3])
    let output = "\(folder.path)/moe"
    let report = try Conversion(
      try ConversionPlan(source, settings), checkpoint: checkpoint, context: context
    ).run(to: output, calibration: NoiseCalibration(context: context, hidden: 8))
    let written = try Checkpoint(folder: output)
    #expect(try LedgerVerification(written, report.ledger).rewritten.count == 2)
    var found = 0
    try LedgerVerification.rewrittenMatrices(of: report.ledger, in: written) { name, bytes in
      var hasher = TensorHasher()
      hasher.update(bytes)
      let entry = report.ledger.source.first { $0.name == name }
      #expect(entry?.rewrittenSHA256 == hasher.hexadecimal(), "\(name)")
      found += 1
    }
    #expect(found == 2)
    // A ledger of other experts does not fit, which is no reason for zeros.
    var other = report.ledger
    other.splits.swapAt(0, 1)
    #expect(throws: (any Error).self) {
      try LedgerVerification.rewrittenMatrices(of: other, in: written) { _, _ in }
    }
  }

  @Test func unknownRoutersOfALedgerAreRefused() throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(try SmallCheckpoint(layers: 1).write(in: folder))
    let output = "\(folder.path)/moe"
    _ = try Conversion(
      try ConversionPlan(source, settings(.none)), checkpoint: checkpoint, context: context
    ).run(to: output, calibration: NoiseCalibration(context: context, hidden: 8))
    var file = try ConfigurationFile(contentsOf: "\(output)/\(ByteLedger.fileName)")
    var mlp = try file.section("mlp").object
    mlp["router_kind"] = "spiral"
    file["mlp"] = .object(mlp)
    let changed = file
    let error = #expect(throws: ConstructionError.self) { try ByteLedger(changed) }
    #expect(error?.description.contains("unknown router_kind \"spiral\"") == true)
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
