import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import ExpertConstruction

/// Conversions that leave neurons out, use some more than once, or keep layers dense.
@Suite struct PartialConversionTests {
  private let folder = TemporaryFolder()
  private let context: Context
  private let path: String

  init() throws {
    context = try Context(device: .cpu(threads: 1))
    path = try SmallCheckpoint(elementType: .f32).write(in: folder)
  }

  private func convert(
    _ settings: ConversionSettings, to name: String = "out"
  ) throws -> ConversionReport {
    let (source, checkpoint) = try openDense(path)
    return try Conversion(
      ConversionPlan(source, settings), checkpoint: checkpoint, context: context
    ).run(
      to: "\(folder.path)/\(name)", calibration: NoiseCalibration(context: context, hidden: 8),
      gradients: noiseGradients(experts: settings.experts, hidden: 8, width: 24))
  }

  private func settings(
    _ strategy: StrategyName, shared: Int = 0, format: OutputFormat = .herd, keep: [Int] = []
  ) -> ConversionSettings {
    var settings = ConversionSettings(
      experts: 4 - shared, topK: 2, shared: shared, strategy: strategy, format: format,
      hasCalibrationData: true)
    settings.keepDense = keep
    return settings
  }

  private func logits(_ name: String, uses: [Int: [Int32]] = [:]) throws -> [Float] {
    let folder = "\(self.folder.path)/\(name)"
    let model = try ModelLoader(
      layout: CheckpointLayouts.layout(for: ConfigurationFile(contentsOf: "\(folder)/config.json")),
      checkpoint: Checkpoint(folder: folder)
    ).model(in: context)
    for parameter in model.parameters {
      for (layer, uses) in uses where parameter.name == DenseSource.name(layer, .down) {
        var values = context.read(parameter.value)
        for index in values.indices { values[index] *= Float(uses[index % 24]) }
        parameter.value = context.tensor(values, parameter.value.shape)
      }
    }
    return model.choosingAllExperts {
      context.read(model.logits([0, 5, 9, 2, 15, 7], in: context))
    }
  }

  /// A pruned model is the dense one without the neurons that the ledger names.
  @Test func aPrunedModelIsTheDenseOneWithoutSomeNeurons() throws {
    let report = try convert(settings(.prune))
    #expect(report.ledger.droppedNeurons == 24 && report.ledger.repeatedNeurons == 0)
    #expect(report.ledger.neuronNote?.contains("24 of 48 left out (layer 0: ") == true)
    let written = try ConfigurationFile(contentsOf: "\(folder.path)/out/config.json")
    let mlp = written["herd"]?["blocks"]?.array?.first?["mlp"]
    #expect(mlp?["type"] == "dense" && mlp?["width"]?.int == 12)
    let uses = report.ledger.unevenUses
    let (found, expected) = (try logits("out"), try logits("dense", uses: uses))
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-4 })
    #expect(try zip(found, logits("dense")).contains { abs($0 - $1) > 1e-2 })
    // What is kept matters more than what is not.
    let stored = try JSON.parse(Files.read("\(folder.path)/out/\(ByteLedger.fileName)"))
    #expect(stored["layers"]?.array?.first?["dropped"]?.array?.count == 12)
    #expect(report.formatsAfterTraining == [.llama])
    let card = String(
      decoding: try Files.read("\(folder.path)/out/README.md"), as: UTF8.self)
    #expect(card.contains("12 of 24 neurons") && card.contains("left out"))
  }

  /// As a plain LLaMA it has the same tensors and a smaller `intermediate_size`.
  @Test func aPrunedModelIsAPlainLlama() throws {
    _ = try convert(settings(.prune))
    _ = try convert(settings(.prune, format: .llama), to: "llama")
    let export = try Export(
      Checkpoint(folder: "\(folder.path)/out"),
      configuration: ConfigurationFile(contentsOf: "\(folder.path)/out/config.json"), to: .llama)
    try export.run(to: "\(folder.path)/exported")
    for name in ["llama", "exported"] {
      let config = try ConfigurationFile(contentsOf: "\(folder.path)/\(name)/config.json")
      #expect(config["model_type"] == "llama" && config["intermediate_size"]?.int == 12)
      #expect(config["architectures"]?.array == ["LlamaForCausalLM"])
      #expect(config["herd"] == nil)
      #expect(try logits(name) == logits("out"))
      let ledger = try ByteLedger(contentsOf: "\(folder.path)/\(name)/\(ByteLedger.fileName)")
      #expect(ledger.format == .llama)
      #expect(
        try LedgerVerification(Checkpoint(folder: "\(folder.path)/\(name)"), ledger).isExact)
    }
  }

  /// With all experts the model is the dense one with each neuron as often as experts hold it.
  @Test(arguments: [(StrategyName.sharingInner, 0), (.sharingInter, 1)])
  func overlappingExpertsAreCounted(strategy: StrategyName, shared: Int) throws {
    let report = try convert(settings(strategy, shared: shared))
    let uses = report.ledger.unevenUses
    #expect(report.ledger.droppedNeurons > 0 && report.ledger.repeatedNeurons > 0)
    #expect(uses.values.allSatisfy { $0.reduce(0, +) == 24 })
    #expect(report.ledger.neuronNote?.contains("used more than once") == true)
    let (found, expected) = (try logits("out"), try logits("dense", uses: uses))
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-4 })
  }

  /// A byte of any copy of a neuron that several experts hold is checked.
  @Test(arguments: [StrategyName.sharingInner, .prune])
  func corruptedBytesAreFound(strategy: StrategyName) throws {
    let report = try convert(settings(strategy))
    let file = "\(folder.path)/out/model.safetensors"
    let written = try Checkpoint(folder: "\(folder.path)/out")
    let good = try Files.read(file)
    let names = written.tensors.map(\.name).filter {
      $0.contains("layers.1.mlp") && $0.hasSuffix("_proj.weight")
    }
    #expect(names.count == (strategy == .prune ? 3 : 12))
    for name in names {
      let tensor = try written.tensor(name)
      var bytes = good
      bytes[bytes.count - written.totalBytes + tensor.byteRange.lowerBound + 2] ^= 1
      try Files.write(bytes, to: file)
      let result = try LedgerVerification(
        Checkpoint(folder: "\(folder.path)/out"), report.ledger)
      #expect(result.different.count == 1, "\(name)")
    }
  }

  /// The proof of a layer knows how often neurons count.
  @Test func theProofSeesWrongCounts() throws {
    let geometry = try SplitGeometry(width: 6, experts: 2, topK: 1, shared: 0)
    let weights = randomLayer(context, geometry: geometry, hidden: 4).weights
    let proof = LayerProof(hidden: 4, seed: 1, context: context)
    func error(_ uses: [Int32]?) -> Double {
      let finding = proof.compare(weights, uses: uses, count: 1) { _, body in body(weights, 1) }
      return finding.error / finding.magnitude
    }
    #expect(error(nil) == 0 && error([1, 1, 1, 1, 1, 1]) == 0)
    #expect(error([1, 1, 1, 0, 1, 1]) > 1e-2 && error([1, 1, 2, 1, 1, 1]) > 1e-2)
  }

  @Test(arguments: [
    (StrategyName.activation, OutputFormat.herd), (.activation, .qwen2_moe), (.prune, .herd),
  ])
  func layersCanStayDense(strategy: StrategyName, format: OutputFormat) throws {
    var settings = settings(strategy, shared: 1, format: format, keep: [0])
    settings.topK = 1
    let report = try convert(settings)
    #expect(report.layerErrors.count == 1)
    #expect(report.ledger.splits[0] == nil && report.ledger.splits[1] != nil)
    let ledger = try ByteLedger(contentsOf: "\(folder.path)/out/\(ByteLedger.fileName)")
    #expect(ledger == report.ledger)
    let result = try LedgerVerification(
      Checkpoint(folder: "\(folder.path)/out"), ledger, against: Checkpoint(folder: path))
    #expect(result.isExact && result.restored == ledger.source.count)
    let (found, expected) = (
      try logits("out"), try logits("dense", uses: ledger.unevenUses)
    )
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-4 })
    let config = try ConfigurationFile(contentsOf: "\(folder.path)/out/config.json")
    if format == .qwen2_moe {
      #expect(config["mlp_only_layers"]?.array?.map(\.int) == [0])
      #expect(config["intermediate_size"]?.int == 24)
    } else {
      let blocks = config["herd"]?["blocks"]?.array
      #expect(
        blocks?.first?["mlp"]?["type"] == "dense" && blocks?.first?["mlp"]?["width"]?.int == 24)
      #expect(config["herd"]?["construction"]?["keep_dense"]?.array?.map(\.int) == [0])
    }
  }

  /// A herd model with dense layers goes to the one stock format that has some.
  @Test func denseLayersAreExported() throws {
    var made = settings(.activation, shared: 1, keep: [1])
    (made.topK, made.exports, made.trainsBeforeExport) = (1, [.qwen2_moe], false)
    _ = try convert(made)
    let checkpoint = try Checkpoint(folder: "\(folder.path)/out")
    let configuration = try ConfigurationFile(contentsOf: "\(folder.path)/out/config.json")
    try Export(checkpoint, configuration: configuration, to: .qwen2_moe)
      .run(to: "\(folder.path)/qwen")
    #expect(try zip(logits("out"), logits("qwen")).allSatisfy { abs($0 - $1) < 1e-4 })
    let ledger = try ByteLedger(contentsOf: "\(folder.path)/qwen/\(ByteLedger.fileName)")
    #expect(try LedgerVerification(Checkpoint(folder: "\(folder.path)/qwen"), ledger).isExact)
    let error = #expect(throws: ConstructionError.self) {
      try Export(checkpoint, configuration: configuration, to: .granitemoeshared)
    }
    #expect(error?.description.contains("layers 1 are dense") == true)
  }

  @Test func whatCannotBeIsRefused() throws {
    let (source, _) = try openDense(path)
    func problem(_ change: (inout ConversionSettings) -> Void) -> String {
      var settings = settings(.activation)
      change(&settings)
      do {
        _ = try ConversionPlan(source, settings)
        return ""
      } catch { return "\(error)" }
    }
    #expect(problem { $0.keepDense = [1] } == "")
    #expect(problem { $0.keepDense = [2] }.contains("layers 0 to 1"))
    #expect(problem { $0.keepDense = [0, 1] }.contains("--strategy none"))
    #expect(
      problem {
        ($0.keepDense, $0.format, $0.rule) = ([1], .mixtral, .renormalizedSoftmax)
      }.contains("layers 1 are dense"))
    #expect(
      problem { ($0.keepDense, $0.format) = ([1], .granitemoeshared) }.contains("qwen2_moe"))
    #expect(
      problem { ($0.strategy, $0.format, $0.keepDense) = (.prune, .llama, [1]) }
        .contains("stay as wide"))
    #expect(problem { ($0.strategy, $0.format) = (.prune, .mixtral) }.contains("has none"))
    #expect(problem { $0.format = .llama }.contains("--strategy prune"))
    #expect(problem { ($0.strategy, $0.shared) = (.gradient, 1) }.contains("gradient-residual"))
    #expect(problem { $0.strategy = .gradientResidual }.contains("at least one shared unit"))
  }
}
