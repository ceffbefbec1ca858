import Formats
import Glibc
import TestSupport
import Testing
import Training
import Workflows

/// Whole pipelines on a model of a few thousand weights.
@Suite struct RunTests {
  private let small: SmallRun

  init() throws { small = try SmallRun() }

  private func weights(_ name: String) throws -> [UInt8] {
    try Files.read(small.path("moe/\(name)/model.safetensors"))
  }

  @Test func everyStepLeavesItsFiles() throws {
    let result = try small.run(small.pipeline())
    #expect(!result.wasFinished)
    for file in [
      "run.json", "run.jsonl", "report.html", "report.md", "analysis.json", "converted/config.json",
      "converted/model.safetensors", "one/model.safetensors", "one/tokenizer.json",
      "one/checkpoint/step-6/state.json", "two/config.json", "export/mixtral/model.safetensors",
    ] {
      #expect(Files.exists(small.path("moe/\(file)")), "\(file)")
    }
    #expect(
      result.steps.object?.keys == [
        "evaluate:dense", "convert", "evaluate:converted", "stage:one", "evaluate:one",
        "stage:two", "evaluate:two", "analyze:two", "export:mixtral", "report",
      ])
    #expect(result.steps["convert"]?["verification"]?["passed"] == true)
    for name in ["dense", "converted", "one", "two"] {
      let scores = result.steps["evaluate:\(name)"]
      #expect(scores?["domains"]?.object?.keys == ["math", "code"])
      #expect((scores?["mean_kl"] == nil) == (name == "dense"))
      #expect(scores?["exact_match"]?["math"] != nil)
    }
    let log = try small.log()
    for stage in ["one", "two"] {
      let lines = log.filter { $0["stage"]?.string == stage }
      #expect(
        lines.filter { $0["event"] == "step" }.map { $0["step"]?.int } == [1, 2, 3, 4, 5, 6])
      #expect(lines.filter { $0["event"] == "evaluation" }.map { $0["step"]?.int } == [3, 6])
    }
    let report = String(decoding: try Files.read(small.path("moe/report.html")), as: UTF8.self)
    #expect(report.contains("<svg") && report.contains("two"))

    // The stock format holds what the last stage wrote, bit for bit up to the folded scale.
    var evaluation = CheckpointEvaluation(
      checkpoint: small.path("moe/export/mixtral"),
      data: ["math", "code"].map { small.path("dense/data/\($0).val.jsonl") },
      settings: .init(window: 48, windows: 3))
    evaluation.device = .cpu(threads: 2)
    let exported = try evaluation.run().scores.mean
    let trained = try #require(result.steps["evaluate:two"]?["mean"]?.double)
    #expect(abs(exported - trained) < 1e-4)
  }

  /// The baseline goes through the same steps with the same losses, its teacher the whole dense model.
  @Test func prunedModelsAreTrainedLikeMixtures() throws {
    let convert =
      "{experts: 4, top_k: 1, shared: 0, strategy: prune, data: [dense/data/math.train.jsonl], "
      + "calibration_tokens: 300}"
    let result = try small.run(
      small.pipeline(
        [SmallRun.stage("one")],
        sections: SmallRun.sections.merging(["convert": convert, "export": "[llama]"]) { $1 }))
    #expect(result.steps["convert"]?["dropped_neurons"]?.int == 2 * 48)
    #expect(result.steps["convert"]?["verification"]?["passed"] == true)
    #expect(result.steps["evaluate:one"]?["mean_kl"]?.double != nil)
    let config = try ConfigurationFile(contentsOf: small.path("moe/export/llama/config.json"))
    #expect(config["model_type"] == "llama" && config["intermediate_size"]?.int == 16)
    let lines = try small.log().filter { $0["event"] == "step" }
    #expect(lines.count == 6 && lines.allSatisfy { $0["terms"]?["hidden_alignment"] != nil })
    #expect(Files.exists(small.path("moe/report.html")))
  }

  @Test func aFinishedRunIsLeftAloneAndChangedSettingsAreNamed() throws {
    let stages = [SmallRun.stage("one")]
    _ = try small.run(small.pipeline(stages))
    let (model, log) = (try weights("one"), try Files.read(small.path("moe/run.jsonl")))
    let again = try small.run(small.pipeline(stages))
    #expect(again.wasFinished)
    #expect(again.text.contains("already finished"))
    #expect(try weights("one") == model)
    #expect(try Files.read(small.path("moe/run.jsonl")) == log)

    let error = #expect(throws: WorkflowError.self) {
      try small.run(small.pipeline([SmallRun.stage("one", learningRate: "1e-3")]))
    }
    #expect(error?.description.contains("(stages[0].learning_rate)") == true)
    #expect(throws: WorkflowError.self) {
      try Run(small.pipeline(stages), output: small.path("dense/data"), device: .cpu(threads: 1))
        .execute()
    }
  }

  /// Attention and MLPs are made of experts; everything from conversion to resuming holds.
  @Test(arguments: ["heads", "kv-group", "moa"], ["random", "none"])
  func attentionExpertsGoThroughTheWholeRun(attention: String, strategy: String) throws {
    var sections = SmallRun.sections
    sections["export"] = nil
    sections["convert"] =
      "{experts: 4, top_k: 2, shared: 0, strategy: \(strategy), router: regressed, attention: "
      + "\(attention), data: [dense/data/math.train.jsonl], calibration_tokens: 300}"
    let pipeline = try small.pipeline(sections: sections)
    let result = try small.run(pipeline)
    #expect(result.steps["convert"]?["verification"]?["passed"] == true)
    let load = result.steps["evaluate:two"]?["domains"]?["math"]?["load"]?.array ?? []
    #expect(load.count { $0["part"]?.string == "attention" } == 2)
    #expect(load.count { $0["part"]?.string == "mlp" } == (strategy == "none" ? 0 : 2))
    let step = try #require(small.log().first { $0["event"] == "step" })
    #expect(step["experts"]?.array?.first?["part"] == "attention")
    let report = String(decoding: try Files.read(small.path("moe/report.md")), as: UTF8.self)
    #expect(report.contains("attention"))

    // A router that trains has moved.
    let name = "model.layers.0.self_attn.router.weight"
    func router(_ folder: String) throws -> [UInt8] {
      try Checkpoint(folder: small.path("moe/\(folder)")).withBytes(of: name) { Array($0) }
    }
    #expect(try router("converted") != router("one"))

    // Killed after four steps of the second stage, it ends with the same bits.
    let expected = try weights("two")
    try small.interruptStageTwo()
    _ = try small.run(pipeline)
    #expect(try weights("two") == expected)
  }

  /// Copies convert, train apart, are evaluated and exported.
  @Test(arguments: ["upcycle", "drop-upcycle"])
  func copiesGoThroughTheWholeRun(strategy: String) throws {
    var sections = SmallRun.sections
    sections["export"] = "[mixtral]"
    sections["convert"] = "{experts: 4, top_k: 2, strategy: \(strategy)}"
    let pipeline = try small.pipeline(sections: sections)
    let estimate = try RunEstimate(pipeline, output: small.path("moe"), device: .cpu(threads: 1))
    #expect(estimate.lines.contains { $0.contains("random router") })
    let result = try small.run(pipeline)
    #expect(result.steps["convert"]?["verification"]?["passed"] == true)
    let load = result.steps["evaluate:two"]?["domains"]?["math"]?["load"]?.array ?? []
    #expect(load.count == 2)
    func expert(_ index: Int, _ folder: String) throws -> [UInt8] {
      try Checkpoint(folder: small.path("moe/\(folder)")).withBytes(
        of: "model.layers.0.mlp.experts.\(index).up_proj.weight"
      ) { Array($0) }
    }
    #expect(try (expert(0, "converted") == expert(1, "converted")) == (strategy == "upcycle"))
    #expect(try expert(0, "two") != expert(1, "two"))
    #expect(Files.exists(small.path("moe/export/mixtral/model.safetensors")))
  }

  /// The folder as a kill in the middle of the second stage leaves it, then moved elsewhere.
  @Test func anInterruptedStageEndsWithTheSameBits() throws {
    let pipeline = try small.pipeline()
    _ = try small.run(pipeline)
    let (expected, lines) = (try weights("two"), try small.log())
    try small.interruptStageTwo()
    rename(small.path("moe"), small.path("moved"))

    var notes: [String] = []
    let result = try Run(
      pipeline, output: small.path("moved"), device: .cpu(threads: 2),
      events: WorkflowEvents(note: { notes.append($0) })
    ).execute()
    rename(small.path("moved"), small.path("moe"))
    #expect(!result.wasFinished)
    #expect(notes.contains("two: going on at step 5 of 6"))
    #expect(!notes.contains { $0.hasPrefix("training one") })
    #expect(try weights("two") == expected)
    func losses(_ lines: [JSON]) -> [Double?] { lines.map { $0["loss"]?.double } }
    #expect(try losses(small.log()) == losses(lines))
  }

  @Test func trainStopsAfterAStageAndGoesOn() throws {
    let pipeline = try small.pipeline()
    func train(_ stage: String?, resume: Bool) throws -> Run.Result {
      try Run(pipeline, output: small.path("moe"), device: .cpu(threads: 2))
        .train(through: stage, resume: resume)
    }
    let unknown = #expect(throws: WorkflowError.self) { try train("three", resume: false) }
    #expect(unknown?.description.contains("no stage \"three\"") == true)
    #expect(!Files.exists(small.path("moe")))
    #expect(try train("one", resume: false).steps["stage:one"] != nil)
    #expect(!Files.exists(small.path("moe/two")))
    let error = #expect(throws: WorkflowError.self) { try train(nil, resume: false) }
    #expect(error?.description.contains("--resume") == true)
    #expect(try train(nil, resume: true).steps["stage:two"] != nil)
    #expect(!Files.exists(small.path("moe/export")))
  }

  /// Both stages move the shares of their domains, by the teacher's losses and by given ones; killed in
  /// the second, the run ends with the same bits and the same log.
  @Test func domainsAreWeighedByHeldOutLosses() throws {
    let pipeline = try small.pipeline([
      SmallRun.stage("one", more: ["domain_weighting: {every: 2, reference: teacher}"]),
      SmallRun.stage(
        "two", more: ["domain_weighting: {every: 3, reference: [1, 6], windows: 2}"]),
    ])
    var notes: [String] = []
    let result = try small.run(pipeline, events: WorkflowEvents(note: { notes.append($0) }))
    #expect(result.steps["stage:two"] != nil)
    // The reference is the dense model's loss as the run's own evaluation has it.
    let lines = try small.log()
    let updates = lines.filter { $0["event"] == "domain_weighting" }
    #expect(updates.map { $0["step"]?.int } == [2, 4, 3])
    let first = try #require(updates.first?["data"]?.array)
    #expect(first.map { $0["domain"]?.string } == ["math", "code"])
    let dense = result.steps["evaluate:dense"]?["domains"]
    for entry in first {
      let domain = try #require(entry["domain"]?.string)
      #expect(entry["reference"]?.double == dense?[domain]?["loss"]?.double)
    }
    // A reference of 6 nats is met by anything: only the other domain gains.
    let shares = lines.filter { $0["event"] == "step" && $0["stage"] == "two" }.map {
      $0["domain_weights"]?["math"]?.double ?? 0
    }
    #expect(shares.prefix(3).allSatisfy { abs($0 - 1.0 / 3) < 1e-12 })
    #expect(shares.suffix(3).allSatisfy { $0 > 0.5 && $0 == shares[3] }, "\(shares)")
    #expect(notes.contains { $0.hasPrefix("two: shares math 0.") })
    let report = String(decoding: try Files.read(small.path("moe/report.html")), as: UTF8.self)
    #expect(report.contains("Share of each domain"))

    let expected = try weights("two")
    try small.interruptStageTwo()
    _ = try small.run(pipeline)
    #expect(try weights("two") == expected)
    let again = try small.log()
    for key in ["loss", "domain_weights", "data"] {
      #expect(again.map { $0[key] } == lines.map { $0[key] }, "\(key)")
    }
  }

  /// A stage of adapters starts from a checkpoint and ends in one of the same tensors; killed, it ends
  /// with the same bits.
  @Test func adaptersAreMergedIntoAnOrdinaryCheckpoint() throws {
    let lora = [
      "lora: {rank: 2, alpha: 4, targets: [\"*.self_attn.*\"]}", "train: [\"*.router.*\"]",
    ]
    let pipeline = try small.pipeline([SmallRun.stage("one"), SmallRun.stage("two", more: lora)])
    let result = try small.run(pipeline)
    func tensors(_ name: String) throws -> [TensorDescription] {
      try Checkpoint(folder: small.path("moe/\(name)")).tensors
    }
    #expect(try tensors("two").map(\.name) == tensors("one").map(\.name))
    for tensor in try tensors("two") {
      let isTrained = tensor.name.contains(".self_attn.") || tensor.name.contains(".router.")
      let same = try ["one", "two"].map {
        try Checkpoint(folder: small.path("moe/\($0)")).withBytes(of: tensor.name) { Array($0) }
      }
      #expect((same[0] != same[1]) == isTrained, "\(tensor.name)")
    }
    // What was measured at the end is what the folder holds.
    let last = try #require(
      small.log().last { $0["event"] == "evaluation" && $0["step"]?.int == 6 })
    let logged = try #require(last["scores"]?["mean"]?.double)
    let stored = try #require(result.steps["evaluate:two"]?["mean"]?.double)
    #expect(abs(logged - stored) < 1e-5)

    let expected = try weights("two")
    try small.interruptStageTwo()
    _ = try small.run(pipeline)
    #expect(try weights("two") == expected)
  }

  /// What cannot be exported in the end is refused at the start.
  @Test func impossibleExportsAreRefusedBeforeAnythingIsWritten() throws {
    for (change, words) in [
      ("shared: 4", "--shared 0"), ("shared: 0, combination: gained", "trained u"),
      ("shared: 1", "do not divide"),
    ] {
      var sections = SmallRun.sections
      sections["convert"] = sections["convert"]?.replacing("shared: 0", with: change)
      let pipeline = try small.pipeline([SmallRun.stage("one")], sections: sections)
      let error = #expect(throws: (any Error).self) { try small.run(pipeline) }
      #expect(error.map { "\($0)" }?.contains(words) == true, "\(String(describing: error))")
      #expect(!Files.exists(small.path("moe")))
    }
  }

  /// Weights in 16 bits are for a GPU that computes in 16 bits.
  @Test func sixteenBitWeightsAreRefusedOnTheCPUBeforeAnythingIsWritten() throws {
    let stage = SmallRun.stage("one") + "\n  optimizer: adamw_8bit\n  weights: bf16"
    let pipeline = try small.pipeline([stage])
    let message = "stage one: weights: bf16 needs a GPU that computes in bf16"
    let error = #expect(throws: WorkflowError.self) { try small.run(pipeline) }
    #expect(error?.description.contains(message) == true)
    #expect(throws: WorkflowError.self) {
      try RunEstimate(pipeline, output: small.path("moe"), device: .cpu(threads: 1))
    }
    #expect(!Files.exists(small.path("moe")))
  }

  @Test func estimatesKnowTheOptimizer() throws {
    func memory(_ lines: String) throws -> Int {
      let pipeline = try small.pipeline([SmallRun.stage("one") + lines])
      return try RunEstimate(pipeline, output: small.path("moe"), device: .cpu(threads: 1)).memory
    }
    let model = try ModelFolder(small.path("dense/initial"))
    let parameters = model.configuration.parameterCounts.total
    let saved = try memory("") - memory("\n  optimizer: adamw_8bit")
    #expect(saved == 6 * parameters - parameters / 32)
    #expect(try memory("\n  checkpointing: true") < memory(""))
    var settings = StageSettings(name: "s", data: [], tokens: 1)
    #expect(settings.stateBytes(parameters: 3200, activations: .f32) == 16 * 3200)
    #expect(settings.stateBytes(parameters: 3200, activations: .bf16) == 18 * 3200)
    (settings.optimizer, settings.weights) = (.adamW8Bit, .bf16)
    #expect(settings.stateBytes(parameters: 3200, activations: .bf16) == 8 * 3200 + 100)
  }

  @Test func anEstimateWritesNothing() throws {
    let estimate = try RunEstimate(
      small.pipeline(), output: small.path("moe"), device: .cpu(threads: 1))
    #expect(estimate.tokens == 2 * 6 * 4 * 48)
    #expect(estimate.memory > 0 && estimate.seconds > 0)
    #expect(estimate.text.contains("two: 6 steps"))
    #expect(estimate.json["tokens"]?.int == estimate.tokens)
    #expect(!Files.exists(small.path("moe")))
  }
}
