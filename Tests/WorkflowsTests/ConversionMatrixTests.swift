import ExpertConstruction
import Formats
import Models
import Numerics
import TestSupport
import Testing
import Workflows

/// Every strategy in every format that can hold it, through the workflows the commands call.
@Suite struct ConversionMatrixTests {
  private let small: SmallRun

  init() throws { small = try SmallRun() }

  private func settings(
    _ strategy: StrategyName, _ format: OutputFormat, for export: OutputFormat? = nil
  ) -> ConvertSettings {
    var settings = ConvertSettings()
    let target = export ?? format
    let shared =
      switch strategy.make().sharedUnits {
      case .none: 0
      case .optional: target == .mixtral ? 0 : 1
      case .required: 1
      }
    settings.experts = 4 - shared
    settings.topK = target == .granitemoeshared ? 2 : 1
    settings.shared = shared
    settings.strategy = strategy.rawValue
    settings.router =
      strategy.makesCopies ? nil : strategy == .random ? "random" : "regressed"
    settings.format = format.rawValue
    settings.exports = export.map { [$0.rawValue] } ?? []
    settings.data = [small.path("dense/data/math.train.jsonl")]
    settings.calibrationTokens = 200
    return settings
  }

  /// The formats that can hold what a strategy makes, when the other settings suit them.
  private func formats(of strategy: StrategyName) -> [OutputFormat] {
    let strategy = strategy.make()
    if strategy.form == .pruned { return [.herd, .llama] }
    return OutputFormat.convertible.filter {
      $0 != .llama && !($0 == .mixtral && strategy.sharedUnits == .required)
        && !($0 == .qwen2_moe && strategy.sharedUnits == .none)
    }
  }

  private func loss(_ name: String) throws -> Double {
    var evaluation = CheckpointEvaluation(
      checkpoint: small.path(name), data: [small.path("dense/data/math.val.jsonl")],
      settings: .init(window: 48, windows: 4))
    evaluation.device = .cpu(threads: 1)
    return try evaluation.run().scores.mean
  }

  @Test(arguments: StrategyName.allCases)
  func everyFormatHoldsTheDenseModel(strategy: StrategyName) throws {
    for format in formats(of: strategy) {
      let name = format.rawValue
      let result = try ModelConversion(
        source: small.path("dense/initial"), output: small.path(name),
        settings: settings(strategy, format), seed: 2
      ).execute(on: .cpu(threads: 1))
      let proof = try #require(result.verification)
      #expect(proof.largestDifference <= proof.tolerance)
      #expect(proof.ledger?.isExact == true)
      #expect((proof.neurons == nil) == (strategy.make().form == .partition))
      #expect(result.json["verification"]?["passed"] == true)
      #expect(try loss(name).isFinite)
    }
  }

  @Test(arguments: StrategyName.allCases)
  func exportsPredictWhatTheHerdFormDoes(strategy: StrategyName) throws {
    for format in formats(of: strategy) where format != .herd {
      let (herd, stock) = ("herd-\(format.rawValue)", "stock-\(format.rawValue)")
      _ = try ModelConversion(
        source: small.path("dense/initial"), output: small.path(herd),
        settings: settings(strategy, .herd, for: format), seed: 2
      ).execute(on: .cpu(threads: 1))
      _ = try ModelExport(
        source: small.path(herd), output: small.path(stock), format: format.rawValue
      ).execute()
      #expect(try abs(loss(herd) - loss(stock)) < 1e-5, "\(format)")
      let proof = try ModelVerification(
        mixture: small.path(stock), dense: small.path("dense/initial")
      ).run(on: .cpu(threads: 1))
      #expect(proof.ledger?.isExact == true)
    }
  }

  /// On the embedded checkpoint an upcycled model predicts what the dense one does, as it is routed.
  @Test func theEmbeddedCheckpointIsUpcycled() throws {
    let dense = PackageFolder.checkpoint
    var settings = ConvertSettings()
    (settings.experts, settings.topK, settings.strategy) = (3, 2, "upcycle")
    let whole = try #require(
      try ModelConversion(
        source: dense, output: small.path("whole"), settings: settings
      ).execute(on: .cpu(threads: 2)).verification)
    #expect(whole.isRouted && whole.largestDifference <= 1e-5 * whole.largestLogit)
    #expect(whole.text.contains("logits as the routers choose"))
    #expect(whole.ledger?.partial.isEmpty == true)
    settings.strategy = "drop-upcycle"
    let dropped = try #require(
      try ModelConversion(
        source: dense, output: small.path("dropped"), settings: settings
      ).execute(on: .cpu(threads: 2)).verification)
    #expect(!dropped.isRouted && dropped.largestDifference <= dropped.tolerance)
    #expect(dropped.neurons?.contains("4608 of 9216 drawn anew") == true)
    // In three experts an eighth of the neurons stays nowhere.
    #expect(dropped.ledger?.partial.count == 12)
  }

  /// Every router converts, is proved, predicts and trains; those that are not linear stay in herd.
  @Test(arguments: RouterName.allCases)
  func everyRouterWorksEndToEnd(router: RouterName) throws {
    var settings = settings(.activation, .herd)
    (settings.experts, settings.topK, settings.shared) = (7, 3, 1)
    settings.router = router.rawValue
    let moe = small.path("moe-\(router.rawValue)")
    let result = try ModelConversion(
      source: small.path("dense/initial"), output: moe, settings: settings, seed: 2
    ).execute(on: .cpu(threads: 1))
    #expect(result.json["verification"]?["passed"] == true)
    #expect(try loss("moe-\(router.rawValue)").isFinite)
    guard router.make().kind != .linear else { return }
    let scoring = router == .spectral ? "lengths of several rows" : "gated pairs"
    for format in OutputFormat.convertible where format != .herd && format != .llama {
      let error = #expect(throws: ConstructionError.self) {
        try ModelExport(
          source: moe, output: small.path("out"), format: format.rawValue
        ).execute()
      }
      #expect(error?.description.contains(scoring) == true, "\(format)")
    }
  }

  /// Sigmoid rules, thresholds and searched shared units, through conversion, proof and refusals.
  @Test(arguments: ["sigmoid", "renormalized_sigmoid", "mean", "auto", "profile auto"])
  func newRulesWorkEndToEnd(what: String) throws {
    var settings = settings(what.hasPrefix("profile") ? .profile : .activation, .herd)
    (settings.experts, settings.topK, settings.shared) = (7, 3, 1)
    if what.contains("sigmoid") { settings.combination = what }
    if what == "mean" { settings.meanTopK = 1.5 }
    if what.hasSuffix("auto") {
      (settings.experts, settings.topK, settings.shared) = (8, 4, nil)
      settings.searchesShared = true
    }
    let moe = small.path("moe")
    let result = try ModelConversion(
      source: small.path("dense/initial"), output: moe, settings: settings, seed: 2
    ).execute(on: .cpu(threads: 1))
    #expect(result.json["verification"]?["passed"] == true)
    #expect(try loss("moe").isFinite)
    let blocks = try ModelFolder(moe).configuration.blocks.compactMap { block in
      if case .mixture(let mixture) = block.mlp { mixture } else { nil }
    }
    #expect(blocks.count == 2)
    for block in blocks {
      #expect(block.activeShare == 0.5)
      #expect((block.scoreThreshold != nil) == (what == "mean"))
    }
    guard !what.hasSuffix("auto") else { return }
    let reason = what == "mean" ? "varies from token to token" : "softmax of the scores"
    for format in OutputFormat.convertible where format != .herd && format != .llama {
      var stock = settings
      stock.format = format.rawValue
      if what == "mean" { stock.combination = "gained" }
      if format == .mixtral { (stock.experts, stock.topK, stock.shared) = (8, 4, 0) }
      let plan = ModelConversion(
        source: small.path("dense/initial"), output: small.path("out"), settings: stock)
      if format == .glm4_moe, what.contains("sigmoid") {
        _ = try plan.plan()  // The one stock format that has them.
        continue
      }
      let error = #expect(throws: ConstructionError.self) { try plan.plan() }
      #expect(
        error?.description.contains(reason) == true, "\(format): \(String(describing: error))")
    }
  }

  @Test func meansThatCannotBeAreRefused() throws {
    var settings = settings(.activation, .herd)
    settings.meanTopK = 3
    func refusal() -> String? {
      #expect(throws: ConstructionError.self) {
        try ModelConversion(
          source: small.path("dense/initial"), output: small.path("out"), settings: settings
        ).plan()
      }?.description
    }
    #expect(refusal()?.contains("--mean-top-k must be between 1 and --top-k") == true)
    (settings.meanTopK, settings.combination) = (1, "renormalized_softmax")
    #expect(refusal()?.contains("--combination gained") == true)
  }

  /// The search leaves dense layers alone, a shared unit to recovery and experts to the mean.
  @Test(arguments: [StrategyName.activation, .profile])
  func theSearchKeepsToTheOtherSettings(strategy: StrategyName) throws {
    var settings = settings(strategy, .herd)
    (settings.experts, settings.topK, settings.shared) = (8, 2, nil)
    settings.searchesShared = true
    func units(_ name: String) throws -> [Int?] {
      _ = try ModelConversion(
        source: small.path("dense/initial"), output: small.path(name), settings: settings, seed: 2
      ).execute(on: .cpu(threads: 1))
      return try ModelFolder(small.path(name)).configuration.blocks.map { block in
        guard case .mixture(let mixture) = block.mlp else { return nil }
        return mixture.sharedWidth / mixture.expertWidth
      }
    }
    (settings.recovery, settings.keepDense) = ("refit-shared", [1])
    #expect(try units("refit") == [1, nil])
    (settings.recovery, settings.keepDense) = ("none", [])
    settings.meanTopK = 1.5
    #expect(try units("mean") == [0, 0])
  }

  /// Settings that would say nothing, or could not be kept, are refused before any work.
  @Test func settingsThatSayNothingAreRefused() throws {
    func refusal(_ change: (inout ConvertSettings) -> Void) -> String {
      var settings = settings(.activation, .herd)
      (settings.experts, settings.topK) = (8, 4)
      change(&settings)
      do {
        _ = try ModelConversion(
          source: small.path("dense/initial"), output: small.path("out"), settings: settings
        ).plan()
        return "accepted"
      } catch { return "\(error)" }
    }
    for attention in ["none", "heads"] {
      #expect(
        refusal {
          ($0.strategy, $0.attention, $0.meanTopK) = ("none", attention, 2)
        }.contains(attention == "none" ? "nothing would become" : "--mean-top-k says nothing"))
    }
    #expect(
      refusal { ($0.strategy, $0.attention, $0.searchesShared) = ("none", "heads", true) }
        .contains("--shared auto says nothing"))
    #expect(
      refusal { ($0.strategy, $0.shared, $0.meanTopK) = ("prune", 0, 2) }
        .contains("--mean-top-k says nothing"))
    for format in ["qwen2_moe", "granitemoeshared"] {
      let auto = refusal { ($0.format, $0.shared, $0.searchesShared) = (format, nil, true) }
      #expect(auto.contains("--shared auto lets layers differ, and \(format)"))
      let exported = refusal { ($0.exports, $0.shared, $0.searchesShared) = ([format], nil, true) }
      #expect(exported.contains("--shared auto lets layers differ, and \(format)"))
      let prefix = refusal { ($0.format, $0.shared, $0.router) = (format, 0, "prefix") }
      #expect(prefix.contains("prefix ranks experts by biases, which \(format) has not"))
    }
    #expect(refusal { $0.exports = ["gguf"] }.contains("which only herd export writes"))
    #expect(refusal { $0.format = "gguf" }.contains("which only herd export writes"))
    #expect(!ConvertSettings.formats.contains("jetmoe"))
  }

  @Test func exportsThatCannotHoldTheModelAreRefused() throws {
    _ = try ModelConversion(
      source: small.path("dense/initial"), output: small.path("herd"),
      settings: settings(.sequential, .herd)
    ).execute(on: .cpu(threads: 1))
    for format in OutputFormat.allCases where format != .herd {
      #expect(throws: ConstructionError.self) {
        try ModelExport(
          source: small.path("herd"), output: small.path("out"), format: format.rawValue
        ).execute()
      }
      #expect(!Files.exists(small.path("out")))
    }
  }

  /// Without data the dense model writes its own calibration text, the same for the same seed.
  @Test func sampledCalibrationIsSeeded() throws {
    var settings = settings(.activation, .herd)
    settings.data = []
    settings.calibrationTokens = 64
    var notes: [String] = []
    for name in ["a", "b"] {
      _ = try ModelConversion(
        source: small.path("dense/initial"), output: small.path(name), settings: settings,
        seed: 9, events: WorkflowEvents(note: { notes.append($0) })
      ).execute(on: .cpu(threads: 1))
    }
    #expect(notes.contains { $0.contains("sampled from the dense model, seed 9") })
    #expect(
      try Files.read(small.path("a/model.safetensors"))
        == Files.read(small.path("b/model.safetensors")))
  }

  /// Scales of 8/3 and 7 round bf16 weights when they are folded; the proof allows for that.
  @Test(arguments: [(8, 3, OutputFormat.mixtral, 0), (7, 2, .qwen2_moe, 1)])
  func foldedScalesThatRoundPassTheProof(
    experts: Int, topK: Int, format: OutputFormat, shared: Int
  ) throws {
    // The embedded checkpoint is in bf16.
    let dense = PackageFolder.checkpoint
    var settings = ConvertSettings()
    (settings.experts, settings.topK, settings.shared) = (experts, topK, shared)
    settings.strategy = "random"
    settings.router = shared > 0 ? "random" : "centroid"
    settings.format = format.rawValue
    if settings.router == "centroid" {
      settings.data = [small.path("dense/data/math.train.jsonl")]
      settings.calibrationTokens = 200
    }
    let proof = try #require(
      try ModelConversion(
        source: dense, output: small.path("rounded"), settings: settings, seed: 2
      ).execute(on: .cpu(threads: 2)).verification)
    #expect(proof.ledger?.rounded.isEmpty == false)
    #expect(proof.largestDifference > 0 && proof.rounding == 0x1p-7)
  }

  /// The folder to be replaced stays until the new one is proved.
  @Test func aFailedProofLeavesTheOldFolder() throws {
    struct Unproved: Error {}
    let output = small.path("moe")
    let conversion = ModelConversion(
      source: small.path("dense/initial"), output: output, settings: settings(.random, .herd))
    _ = try conversion.execute(on: .cpu(threads: 1))
    let before = try Files.read("\(output)/model.safetensors")
    let dense = try ModelFolder(small.path("dense/initial"), access: .pread)
    #expect(throws: Unproved.self) {
      try Conversion(
        conversion.plan(), checkpoint: dense.checkpoint, context: Context(device: .cpu(threads: 1))
      ).run(
        to: output, force: true,
        verify: { finished in
          #expect(Files.exists("\(finished)/config.json"))
          throw Unproved()
        })
    }
    #expect(try Files.read("\(output)/model.safetensors") == before)
    #expect(!small.folder.names.contains { $0.contains("partial") })
  }

  /// Another model of the same shape is no source, and a failed proof is an error.
  @Test func anotherSourceIsFound() throws {
    let other = try SmallRun()
    let weights = other.path("dense/initial/model.safetensors")
    var bytes = try Files.read(weights)
    bytes[bytes.count - 2] ^= 0x40
    try Files.write(bytes, to: weights)
    _ = try ModelConversion(
      source: small.path("dense/initial"), output: small.path("moe"),
      settings: settings(.sequential, .herd)
    ).execute(on: .cpu(threads: 1))
    let error = #expect(throws: WorkflowError.self) {
      try ModelVerification(mixture: small.path("moe"), dense: other.path("dense/initial"))
        .run(on: .cpu(threads: 1))
    }
    #expect(error?.description.contains("do not come back") == true)
  }
}
