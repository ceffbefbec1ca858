import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import ExpertConstruction

/// Dense attention of the small checkpoint: 4 query heads of 2 channels over 2 key heads.
@Suite struct AttentionConversionTests {
  private func settings(
    _ attention: AttentionSettings, keepsMLPs: Bool, router: RouterName = .regressed
  ) -> ConversionSettings {
    var settings = ConversionSettings(
      experts: 3, topK: 1, shared: 1, router: router, hasCalibrationData: true)
    if router == .random { settings.strategy = .random }
    settings.attention = attention
    settings.keepsMLPs = keepsMLPs
    return settings
  }

  @Test(arguments: AttentionStrategyName.allCases, [true, false])
  func convertsProvesAndRestores(strategy: AttentionStrategyName, keepsMLPs: Bool) throws {
    let context = try Context()
    for (router, type) in [
      (RouterName.regressed, ElementType.bf16), (.random, .f32), (.centroid, .f16),
    ] {
      let folder = TemporaryFolder()
      let (source, checkpoint) = try openDense(
        try SmallCheckpoint(elementType: type, attentionBias: router == .random).write(in: folder))
      let settings = settings(.init(strategy: strategy), keepsMLPs: keepsMLPs, router: router)
      let plan = try ConversionPlan(source, settings)
      let output = "\(folder.path)/moe"
      let report = try Conversion(plan, checkpoint: checkpoint, context: context).run(
        to: output, calibration: NoiseCalibration(context: context, hidden: 8))
      #expect(report.attentionErrors.count == 2)
      #expect(
        zip(report.attentionErrors, report.attentionMagnitudes).allSatisfy { $0 <= 1e-5 * $1 })
      #expect(report.layerErrors.count == (keepsMLPs ? 0 : 2))
      let written = try Checkpoint(folder: output)
      #expect(Set(written.tensors.map(\.name)) == Set(plan.outputs.map(\.name)))
      let ledger = try ByteLedger(contentsOf: "\(output)/\(ByteLedger.fileName)")
      #expect(ledger == report.ledger)
      let verification = try LedgerVerification(written, ledger, against: checkpoint)
      #expect(verification.isExact && verification.restored == source.tensors.count)

      let config = try ConfigurationFile(contentsOf: "\(output)/config.json")
      let loader = try ModelLoader(layout: HerdLayout(config), checkpoint: written)
      let dense = try ModelLoader(
        layout: CheckpointLayouts.layout(for: source.configuration), checkpoint: checkpoint)
      let (model, teacher) = (try loader.model(in: context), try dense.model(in: context))
      #expect(model.routers.count == (keepsMLPs ? 2 : 4))
      let tokens: [Int32] = [1, 5, 9, 2, 14, 3, 3, 8]
      let expected = context.readDoubles(teacher.logits(tokens, in: context))
      let found = model.choosingAllExperts { context.read(model.logits(tokens, in: context)) }
      #expect(relativeError(found, expected) < 1e-5)
    }
  }

  /// An export without router biases gets attention routers without, fitted to text all the same.
  @Test func routersFitTheExport() throws {
    let context = try Context()
    let folder = TemporaryFolder()
    let path = try SmallCheckpoint(elementType: .f32).write(in: folder)
    var config = try ConfigurationFile(contentsOf: "\(path)/config.json")
    config["rms_norm_eps"] = 1e-6
    try config.write(to: "\(path)/config.json")
    let (source, checkpoint) = try openDense(path)
    var settings = settings(.init(strategy: .moa), keepsMLPs: false)
    (settings.experts, settings.topK, settings.shared) = (2, 1, 0)
    settings.exports = [.jetmoe]
    let output = "\(folder.path)/moe"
    _ = try Conversion(
      ConversionPlan(source, settings), checkpoint: checkpoint, context: context
    ).run(to: output, calibration: NoiseCalibration(context: context, hidden: 8))
    let written = try Checkpoint(folder: output)
    #expect(!written.tensors.contains { $0.name.hasSuffix("router.bias") })
    try Export(
      written, configuration: ConfigurationFile(contentsOf: "\(output)/config.json"), to: .jetmoe
    ).run(to: "\(folder.path)/jetmoe")
    settings.exports = []
    #expect(try ConversionPlan(source, settings).attention?.hasRouterBias == true)
  }

  @Test func aDamagedProjectionIsFound() throws {
    let folder = TemporaryFolder()
    let context = try Context()
    let (source, checkpoint) = try openDense(try SmallCheckpoint(layers: 1).write(in: folder))
    let plan = try ConversionPlan(
      source, settings(.init(strategy: .heads), keepsMLPs: true, router: .random))
    let output = "\(folder.path)/moe"
    let report = try Conversion(plan, checkpoint: checkpoint, context: context).run(to: output)
    let file = "\(output)/model.safetensors"
    let written = try Checkpoint(folder: output)
    let tensor = try written.tensor("model.layers.0.self_attn.o_proj.weight")
    var bytes = try Files.read(file)
    bytes[bytes.count - written.totalBytes + tensor.byteRange.lowerBound] ^= 1
    try Files.write(bytes, to: file)
    let verification = try LedgerVerification(try Checkpoint(folder: output), report.ledger)
    #expect(verification.different == ["model.layers.0.self_attn.o_proj.weight"])
  }

  /// Head outputs are given: head 2 is long everywhere, heads 0 and 3 take turns by the sign of the
  /// first input, head 1 is nothing. So 2 is shared and the router tells 0 and 3 apart.
  @Test func sharedHeadsAreTheLongestAndTheRouterPredictsLengths() throws {
    struct Given: AttentionInputs {
      let x: Tensor
      let heads: Tensor
      var tokens: Int { x.rows }
      func forEachBatch(_ body: (Tensor, Tensor) throws -> Void) throws {
        try body(x.slice(0..<30), heads.slice(0..<30))
        try body(x.slice(30..<tokens), heads.slice(30..<tokens))
      }
    }
    let context = try Context()
    let folder = TemporaryFolder()
    let (source, _) = try openDense(try SmallCheckpoint().write(in: folder))
    let attention = AttentionSettings(strategy: .heads, experts: 3, topK: 1, shared: 1)
    let plan = try AttentionPlan(attention, source, usesText: true, allowsBias: true)
    let x = context.randomTensor([80, 8], .f32, seed: 1)
    let values = context.read(x)
    let heads = (0..<80).flatMap { row -> [Float] in
      let isUp = values[row * 8] > 0
      return [isUp ? 2 : 0, 0, 0, 0, 3, 0, isUp ? 0 : 2, 0]
    }
    let identity = (0..<64).map { $0 / 8 == $0 % 8 ? Float(1) : 0 }
    let output = context.tensor(identity, [8, 8])
    let (mixture, router) = try AttentionConstruction(plan: plan, seed: 1, context: context).make(
      0, projections: (context.zeros([4, 8]), output),
      inputs: Given(x: x, heads: context.tensor(heads, [80, 8])))
    #expect(mixture.sharedHeads == [2])
    #expect(mixture.expertOfHead(plan.attention) == [0, 1, -1, 2])
    let bias = try #require(router.bias_E)
    var right = 0
    for row in 0..<80 {
      let scores = (0..<3).map { expert in
        (0..<8).reduce(bias[expert]) {
          $0 + router.weight_ED[expert * 8 + $1] * values[row * 8 + $1]
        }
      }
      let best = scores.indices.max { scores[$0] < scores[$1] }
      if best == (values[row * 8] > 0 ? 0 : 2) { right += 1 }
    }
    #expect(right >= 76)
  }

  @Test func headLengthsAreThoseOfTheirOutputs() throws {
    let context = try Context()
    let (rows, heads, dim, hidden) = (60, 4, 2, 8)
    let output = context.randomTensor([hidden, heads * dim], .f32, seed: 2)
    let inputs = NoiseHeads(context: context, hidden: hidden, layer: 0)
    let record = try HeadRecord(inputs, output_DC: output, heads: heads, context)
    let norms = record.norms([0, 1, -1, 1], units: 2)
    let weights = context.read(output)
    var all: [Float] = []
    try inputs.forEachBatch { all += context.read($1) }
    for row in 0..<rows {
      var energy = [Float](repeating: 0, count: heads)
      for head in 0..<heads {
        for channel in 0..<hidden {
          let value = (0..<dim).reduce(Float(0)) {
            let column = head * dim + $1
            return $0 + weights[channel * heads * dim + column] * all[row * heads * dim + column]
          }
          energy[head] += value * value
        }
      }
      #expect(abs(norms[row * 2] - energy[0].squareRoot()) < 1e-4)
      #expect(abs(norms[row * 2 + 1] - (energy[1] + energy[3]).squareRoot()) < 1e-4)
    }
  }

  @Test func sizesFollowTheHeadsOrAreRefused() throws {
    let attention = AttentionConfiguration(
      heads: 16, keyHeads: 8, headDimension: 32, rope: RoPEConfiguration(theta: 10000))
    func sizes(
      _ strategy: AttentionStrategyName, _ experts: Int? = nil, _ topK: Int? = nil,
      _ shared: Int? = nil
    ) throws -> [Int] {
      let geometry = try strategy.make().geometry(
        AttentionSettings(strategy: strategy, experts: experts, topK: topK, shared: shared),
        for: attention)
      return [geometry.experts, geometry.topK, geometry.shared]
    }
    #expect(try sizes(.heads) == [8, 4, 8])
    #expect(try sizes(.heads, 12) == [12, 6, 4])
    #expect(try sizes(.heads, nil, 3, 4) == [12, 3, 4])
    #expect(try sizes(.heads, 4, 2, 4) == [4, 2, 4])
    #expect(try sizes(.keyGroup) == [8, 7, 0])
    #expect(try sizes(.moa) == [2, 1, 0])
    for (strategy, experts, topK, shared) in [
      (AttentionStrategyName.heads, 8, 9, 8), (.heads, 7, 2, 8), (.heads, 0, 1, 8),
      (.heads, 8, 4, -1), (.keyGroup, 16, 4, 0), (.keyGroup, 8, 4, 1), (.moa, 2, 3, 0),
      (.moa, 4, 2, 0),
    ] {
      let error = #expect(throws: ConstructionError.self) {
        try sizes(strategy, experts, topK, shared)
      }
      #expect(error?.kind == .refused)
    }
  }

  @Test func stockFormatsAndEmptyConversionsAreRefused() throws {
    let folder = TemporaryFolder()
    let (source, _) = try openDense(try SmallCheckpoint().write(in: folder))
    for format in OutputFormat.ofSoftmax where format != .herd {
      var settings = settings(.init(strategy: .heads), keepsMLPs: false)
      settings.format = format
      let error = #expect(throws: ConstructionError.self) { try ConversionPlan(source, settings) }
      #expect(error?.description.contains("attention is made of experts") == true)
    }
    var nothing = settings(.init(strategy: .heads), keepsMLPs: true)
    nothing.attention = nil
    #expect(throws: ConstructionError.self) { try ConversionPlan(source, nothing) }
    let plan = try ConversionPlan(
      source, settings(.init(strategy: .heads), keepsMLPs: true))
    #expect(plan.description.contains("each MLP stays dense"))
    #expect(plan.description.contains("75.0 % active, router regressed"))
    #expect(plan.json["attention"]?["active_share"]?.double == 0.75)
    #expect(plan.fates.allSatisfy { $0.fate == .copied })
    #expect(plan.formatsAfterTraining.isEmpty)
  }

  /// The calibration's own attention inputs are those of the dense model.
  @Test func calibrationShowsTheHeads() throws {
    let folder = TemporaryFolder()
    let context = try Context(device: .cpu(threads: 1))
    let (source, checkpoint) = try openDense(
      try SmallCheckpoint(elementType: .f32).write(in: folder))
    let loader = try ModelLoader(
      layout: CheckpointLayouts.layout(for: source.configuration), checkpoint: checkpoint)
    let documents: [[Int32]] = [[1, 2, 3, 4, 5], [6, 7], [8, 9, 10, 11]]
    let calibration = try DenseCalibration(
      loader, documents: documents, batchTokens: 6, context: context)
    let plain = try DenseCalibration(
      loader, documents: documents, batchTokens: 6, context: context)
    for layer in 0..<2 {
      let output = try loader.parameter(
        named: "model.layers.\(layer).self_attn.o_proj.weight", in: context)
      let inputs = try calibration.attentionInputs(ofLayer: layer)
      let record = try HeadRecord(inputs, output_DC: output.value, heads: 4, context)
      #expect(record.x_TD.rows == 11 && record.energy_TH.allSatisfy { $0 >= 0 })
      // Asking for attention does not change what the MLP sees.
      func mlp(_ source: DenseCalibration) throws -> [Float] {
        var rows: [Float] = []
        try source.inputs(ofLayer: layer).forEachBatch { rows += context.read($0) }
        return rows
      }
      #expect(try mlp(calibration) == mlp(plain))
    }
  }
}
