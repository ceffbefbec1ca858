import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import ExpertConstruction

/// Softmax attention becomes linear; nothing of the source is lost.
@Suite struct LinearizationTests {
  private let folder = TemporaryFolder()

  private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  private func linearize(
    _ source: String, _ name: String, _ edit: (inout LinearizationSettings) -> Void = { _ in }
  ) throws -> ByteLedger {
    var settings = LinearizationSettings()
    settings.kept = .layers([1])
    settings.seed = 7
    edit(&settings)
    let checkpoint = try Checkpoint(folder: source, access: .pread)
    let plan = try LinearizationPlan(
      configuration: ConfigurationFile(contentsOf: "\(source)/config.json"),
      checkpoint: checkpoint, settings)
    return try Linearization(plan, checkpoint: checkpoint).run(to: path(name))
  }

  private func convert(_ source: String, _ name: String) throws {
    let checkpoint = try Checkpoint(folder: source, access: .pread)
    let settings = ConversionSettings(
      experts: 4, topK: 2, shared: 0, strategy: .clusterWeights, router: .random, seed: 3)
    let plan = try ConversionPlan(
      DenseSource(
        configuration: ConfigurationFile(contentsOf: "\(source)/config.json"),
        checkpoint: checkpoint), settings)
    _ = try Conversion(plan, checkpoint: checkpoint, context: Context()).run(to: path(name))
  }

  private func refusal(
    _ source: String, _ edit: (inout LinearizationSettings) -> Void = { _ in }
  ) -> String {
    let error = #expect(throws: ConstructionError.self) {
      try linearize(source, "refused", edit)
    }
    #expect(!Files.exists(path("refused")))
    return error?.description ?? ""
  }

  @Test(arguments: [false, true])
  func everyByteComesBackAndNewTensorsAreNamed(sharesKeys: Bool) throws {
    let dense = try SmallCheckpoint().write(in: folder)
    let ledger = try linearize(dense, "out") { $0.sharesKeys = sharesKeys }
    let written = try ByteLedger(contentsOf: path("out/\(ByteLedger.fileName)"))
    #expect(written == ledger)
    let (own, source) = (try Checkpoint(folder: path("out")), try Checkpoint(folder: dense))
    #expect(ledger.source.map(\.name) == source.tensors.map(\.name))
    let proof = try LedgerVerification(own, ledger, against: source)
    #expect(proof.isExact && proof.restored == source.tensors.count)
    let prefix = "model.layers.0.self_attn."
    #expect(
      ledger.creation?.tensors.map(\.parameter.tensor.name).sorted()
        == ["g_proj", "k_norm", "o_norm", "q_norm"].map { "\(prefix)\($0).weight" })
    #expect(proof.created == 4)
    let names = Set(
      source.tensors.map(\.name)
        + (ledger.creation?.tensors ?? []).map {
          $0.parameter.tensor.name
        })
    #expect(Set(own.tensors.map(\.name)) == names)
    #expect(own["\(prefix)k_proj.weight"]?.shape == [sharesKeys ? 4 : 8, 8])
    #expect(own["model.layers.1.self_attn.k_proj.weight"]?.shape == [4, 8])

    // Of copies, head j of the model is key head j / 2 of the source.
    guard !sharesKeys else { return }
    let size = 2 * 8 * 2
    let before = try source.withBytes(of: "\(prefix)v_proj.weight") { Array($0) }
    let after = try own.withBytes(of: "\(prefix)v_proj.weight") { Array($0) }
    for head in 0..<4 {
      let start = head / 2 * size
      #expect(Array(after[head * size..<(head + 1) * size]) == Array(before[start..<start + size]))
    }
  }

  @Test func aChangedByteIsFound() throws {
    let dense = try SmallCheckpoint().write(in: folder)
    let ledger = try linearize(dense, "out")
    for name in ["k_proj", "g_proj", "o_norm"] {
      let tensor = "model.layers.0.self_attn.\(name).weight"
      let file = path("out/model.safetensors")
      let isSharded = !Files.exists(file)
      #expect(!isSharded)
      let original = try Files.read(file)
      let own = try Checkpoint(folder: path("out"))
      let range = try #require(own[tensor]).byteRange
      let header = original.prefix(8).enumerated().reduce(0) { $0 | Int($1.1) << (8 * $1.0) }
      var bytes = original
      // The second copy of the first head, or the middle of a new tensor.
      bytes[8 + header + range.lowerBound + range.count / 4 + 1] ^= 1
      try Files.write(bytes, to: file)
      let proof = try LedgerVerification(Checkpoint(folder: path("out")), ledger)
      #expect(proof.different == [tensor])
      try Files.write(original, to: file)
    }
  }

  /// The linear layer computes HALO's formula on the weights it took over.
  @Test func theModelRunsAndKeptLayersAreTheSources() throws {
    let dense = try SmallCheckpoint().write(in: folder)
    _ = try linearize(dense, "out") { $0.slopes = .tnl }
    let (loader, config) = try openModel(path("out"))
    let model = loader.layout.configuration
    guard case .linear(let mixer) = model.blocks[0].mixer,
      case .attention(let attention) = model.blocks[1].mixer
    else {
      Issue.record("mixers are \(model.blocks.map(\.mixer))")
      return
    }
    #expect(
      mixer.decay
        == .fixed(
          family: "tnl", slopes: DecaySlopes.tnl.values(heads: 4, layer: 0, layers: 2)))
    #expect(mixer.keyHeads == 4 && mixer.queryKeyNorm && mixer.outputNorm == .full)
    #expect(mixer.scale == attention.scale && mixer.positions == .rope(attention.rope))
    #expect(attention.isPlain)
    #expect(config["herd"]?["linearization"]?["slopes"] == "tnl")
    let context = try Context()
    let logits = context.read(try loader.model(in: context).logits([0, 5, 9, 2], in: context))
    #expect(logits.allSatisfy { $0.isFinite })
  }

  /// MiniMax-01's layers and residual connections; all bytes of the source are there again.
  @Test func minimaxIsMiniMaxsLayer() throws {
    let dense = try SmallCheckpoint().write(in: folder)
    let ledger = try linearize(dense, "out") {
      ($0.mixer, $0.slopes, $0.residualAlpha) = (.minimax, .minimax, 2.5)
    }
    let proof = try LedgerVerification(
      Checkpoint(folder: path("out")), ledger, against: Checkpoint(folder: dense))
    #expect(proof.isExact && proof.created == 2)
    let (loader, config) = try openModel(path("out"))
    let model = loader.layout.configuration
    #expect(
      model.blocks[0].mixer
        == .linear(.minimax(heads: 4, dimension: 2, layer: 0, layers: 2)))
    let factors = NormalizedResidual.Factors(alpha: 2.5, beta: 1)
    #expect(model.residual?.attention == factors && model.residual?.linear == factors)
    #expect(model.residual?.mlp == factors)
    #expect(config["herd"]?["linearization"]?["mixer"] == "minimax")
    for edit: (inout LinearizationSettings) -> Void in [
      { $0.slopes = .alibi }, { $0.sharesKeys = true }, { $0.softmaxGate = true },
      { $0.softmaxPositions = false }, { $0.softmaxLogScale = 500 }, { $0.residualAlpha = 0 },
    ] {
      let words = refusal(dense) {
        ($0.mixer, $0.slopes) = (.minimax, .minimax)
        edit(&$0)
      }
      #expect(words.contains("minimax") || words.contains("residual alpha of 0"), "\(words)")
    }
    #expect(refusal(dense) { $0.residualAlpha = 2 }.contains("belongs to the mixer minimax"))
  }

  @Test func sharedKeysHaveOneSlopePerGroup() throws {
    let dense = try SmallCheckpoint().write(in: folder)
    _ = try linearize(dense, "out") { $0.sharesKeys = true }
    guard
      case .linear(let mixer) = try openModel(path("out")).loader.layout.configuration
        .blocks[0].mixer, case .fixed(_, let slopes) = mixer.decay
    else {
      Issue.record("no linear layer")
      return
    }
    let own = DecaySlopes.alibi.values(heads: 2, layer: 0, layers: 2)
    #expect(slopes == [own[0], own[0], own[1], own[1]] && mixer.keyHeads == 2)
  }

  @Test func aWindowBesideIsInTheConfigurationOnly() throws {
    let dense = try SmallCheckpoint().write(in: folder)
    let plain = try linearize(dense, "plain")
    let ledger = try linearize(dense, "window") { $0.window = 5 }
    #expect(ledger == plain)
    let layout = try CheckpointLayouts.layout(
      for: ConfigurationFile(contentsOf: path("window/config.json")))
    guard case .linear(let mixer) = layout.configuration.blocks[0].mixer else {
      Issue.record("layer 0 is not linear")
      return
    }
    #expect(mixer.window == 5)
    let proof = try LedgerVerification(
      Checkpoint(folder: path("window")), ledger, against: Checkpoint(folder: dense))
    #expect(proof.isExact)
  }

  @Test(arguments: [false, true])
  func conversionBeforeAndAfterGiveTheSameTensors(sharesKeys: Bool) throws {
    let dense = try SmallCheckpoint().write(in: folder)
    _ = try linearize(dense, "linear") { $0.sharesKeys = sharesKeys }
    try convert(path("linear"), "linear-moe")
    try convert(dense, "moe")
    let ledger = try linearize(path("moe"), "moe-linear") { $0.sharesKeys = sharesKeys }
    let (one, two) = (
      try Checkpoint(folder: path("linear-moe")), try Checkpoint(folder: path("moe-linear"))
    )
    #expect(Set(one.tensors.map(\.name)) == Set(two.tensors.map(\.name)))
    for tensor in one.tensors {
      let own = try one.withBytes(of: tensor.name) { Array($0) }
      let other = try two.withBytes(of: tensor.name) { Array($0) }
      #expect(own == other, "\(tensor.name)")
    }
    #expect(
      try openModel(path("linear-moe")).loader.layout.configuration
        == openModel(path("moe-linear")).loader.layout.configuration)
    #expect(try LedgerVerification(two, ledger, against: Checkpoint(folder: path("moe"))).isExact)
    for folder in ["linear-moe", "moe-linear"] {
      let config = try ConfigurationFile(contentsOf: path("\(folder)/config.json"))
      #expect(config["herd"]?["linearization"]?["mixer"] == "lightning")
      #expect(config["herd"]?["construction"]?["strategy"] == "cluster-weights")
    }
  }

  @Test func softmaxLayersGetWhatHybridsAdd() throws {
    let dense = try SmallCheckpoint().write(in: folder)
    let ledger = try linearize(dense, "out") {
      $0.softmaxPositions = false
      $0.softmaxGate = true
      $0.softmaxLogScale = 500
    }
    guard
      case .attention(let attention) = try openModel(path("out")).loader.layout.configuration
        .blocks[1].mixer
    else {
      Issue.record("no attention")
      return
    }
    #expect(!attention.hasPositions && attention.hasOutputGate)
    #expect(attention.logScale == LogLengthScale(base: 500, positions: 64))
    let gate = "model.layers.1.self_attn.g_proj.weight"
    #expect(ledger.creation?.tensors.contains { $0.parameter.tensor.name == gate } == true)
    // Neither a conversion nor an export forgets them.
    try convert(path("out"), "moe")
    #expect(
      try openModel(path("moe")).loader.layout.configuration.blocks[1].mixer
        == .attention(attention))
    let error = #expect(throws: ConstructionError.self) {
      try openExport(path("moe"), to: .mixtral)
    }
    #expect(error?.description.contains("linear attention") == true)
  }

  @Test func whatCannotBecomeLinearIsRefused() throws {
    let dense = try SmallCheckpoint().write(in: folder)
    #expect(refusal(dense) { $0.kept = .layers([0, 1]) }.contains("keep fewer"))
    #expect(refusal(dense) { $0.kept = .layers([5]) }.contains("layers 0 to 1"))
    #expect(refusal(dense) { $0.kept = .share(1.5) }.contains("between 0 % and 100 %"))
    _ = try linearize(dense, "out")
    #expect(refusal(path("out")).contains("linear already"))
    let biased = try SmallCheckpoint(attentionBias: true).write(in: folder, name: "biased")
    #expect(refusal(biased).contains("biases"))
    var config = try ConfigurationFile(contentsOf: "\(dense)/config.json")
    config["model_type"] = "mamba"
    try config.write(to: "\(dense)/config.json")
    #expect(refusal(dense).contains("llama, mistral, herd"))
  }

  @Test func evenSpreadEndsEachStretch() {
    #expect(KeptSoftmax.share(0.25).layers(of: 8) == [3, 7])
    #expect(KeptSoftmax.share(0.25).layers(of: 28) == [3, 7, 11, 15, 19, 23, 27])
    #expect(KeptSoftmax.share(0.1).layers(of: 4) == [3])
    #expect(KeptSoftmax.none.layers(of: 4) == [])
    #expect(KeptSoftmax.layers([3, 0, 3]).layers(of: 4) == [0, 3])
  }
}
