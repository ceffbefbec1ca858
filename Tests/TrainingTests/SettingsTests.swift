import Formats
import Testing
import Training

@Suite struct SettingsTests {
  private func decode(_ text: String) throws -> StageSettings {
    let object = try #require(try JSON.parse(Array(text.utf8)).object)
    return try StageSettings(ConfigurationFile(path: "p.yaml: stages[1]", object: object))
  }

  private let minimal = #""name":"s","tokens":100000,"data":[{"file":"a.jsonl"}]"#

  @Test func defaultsFillWhatIsNotGiven() throws {
    let settings = try decode("{\(minimal)}")
    #expect(settings == StageSettings(name: "s", data: [.init(file: "a.jsonl")], tokens: 100_000))
    #expect(settings.betas == [0.9, 0.95])
    #expect(settings.clip == 1)
    #expect(settings.learningRate == 1e-3)
    #expect(settings.schedule == Schedule(kind: .cosine, warmupSteps: 10, finalFraction: 0))
    #expect(settings.steps == 7)
  }

  @Test func jsonDecodesBackToTheSameSettings() throws {
    let settings = try decode(
      """
      {"name":"stage-2","tokens":5,"data":[{"file":"a","weight":0.5,"format":"llama3"},
      {"file":"b"}],"sequence_length":8,"batch_sequences":6,"micro_batch":2,"sampling":"windows",
      "train":["*.router.*","model.norm.*"],"learning_rate":2e-3,
      "router_learning_rate":1e-4,"groups":[{"pattern":"*.gain","learning_rate":0}],"betas":[0,0.5],"epsilon":1,
      "weight_decay":0.1,"clip":0,"schedule":{"kind":"linear","warmup_steps":0,
      "final_fraction":0.1},"losses":{"cross_entropy":0.1,"distillation":0.9,
      "distillation_over":"all","hidden_alignment":1,"local_alignment":2,"load_balance":0,"balance_over":"mean",
      "router_z":1e-3,"selection_bias_rate":1e-3},"checkpointing":true,"evaluate_every":3,"checkpoint_every":0,
      "save_dtype":"bf16","router_noise":0.25,"router_jitter":0.01,
      "lora":{"rank":4,"alpha":16,"targets":["*.q_proj.weight"]},
      "domain_weighting":{"every":40,"reference":[1.5,0.75],"windows":6}}
      """)
    let text = JSON.object(settings.json).serialized()
    #expect(try decode(text) == settings)
    #expect(settings.losses.needsTeacher && settings.losses.localAlignment == 2)
    #expect(settings.routerNoise == 0.25 && settings.routerJitter == 0.01)
    #expect(settings.groups == [.init(pattern: "*.gain", learningRate: 0)])
    #expect(settings.routerLearningRate == 1e-4)
    #expect(
      settings.lora == LowRankSettings(rank: 4, alpha: 16, targets: ["*.q_proj.weight"]))
    #expect(
      settings.domainWeighting
        == DomainWeighting(every: 40, reference: .losses([1.5, 0.75]), windows: 6))
  }

  @Test(arguments: [
    (
      #""batch_sequence":4"#,
      "p.yaml: stages[1].batch_sequence: unknown key; did you mean batch_sequences?"
    ),
    (
      #""losses":{"distilation":1}"#,
      "p.yaml: stages[1].losses.distilation: unknown key; did you mean distillation?"
    ),
    (
      #""schedule":{"kind":"cosin"}"#,
      "p.yaml: stages[1].schedule.kind: \"cosin\" is no choice here; did you mean cosine?"
    ),
    (
      #""learning_rate":0"#,
      "p.yaml: stages[1].learning_rate: 0.0 is out of bounds; give a number above 0"
    ),
    (
      #""learning_rate":"fast""#,
      "p.yaml: stages[1].learning_rate: found a string; give a number above 0"
    ),
    (
      #""micro_batch":17"#,
      "p.yaml: stages[1].micro_batch: 17 is out of bounds; give an integer from 1 to 16"
    ),
    (
      #""groups":[{"pattern":"*"}]"#,
      "p.yaml: stages[1].groups[0].learning_rate: missing; give a number of at least 0"
    ),
    (
      #""betas":[0.9,1]"#,
      "p.yaml: stages[1].betas: give two numbers of at least 0 and below 1"
    ),
    (
      #""optimizer":"adamw8bit""#,
      "p.yaml: stages[1].optimizer: \"adamw8bit\" is no choice here; did you mean adamw_8bit?"
    ),
    (
      #""weights":"bf16""#,
      "p.yaml: stages[1].weights: bf16 weights are rounded by the 8-bit optimizer; give optimizer: adamw_8bit"
    ),
    (#""train":[]"#, "p.yaml: stages[1].train: give a list of one or more non-empty strings"),
    (
      #""losses":{"cross_entropy":0}"#,
      "p.yaml: stages[1].losses: nothing to learn from; give cross_entropy, distillation, hidden_alignment or local_alignment a weight"
    ),
    (
      #""router_jitter":1"#,
      "p.yaml: stages[1].router_jitter: 1.0 is out of bounds; give a number of at least 0 and below 1"
    ),
    (
      #""losses":3"#,
      "p.yaml: stages[1].losses: found an integer; give a section of keys and values"
    ),
  ])
  func errorsNameFilePathAndRemedy(_ addition: String, _ message: String) {
    let error = #expect(throws: SettingsError.self) { try decode("{\(minimal),\(addition)}") }
    #expect(error?.description == message)
  }

  /// With adapters nothing else trains unless it is named.
  @Test func adaptersCanBeAllThatTrains() throws {
    for (more, train) in [
      ("", []), (#","train":[]"#, []), (#","train":["*.router.*"]"#, ["*.router.*"]),
    ] {
      let settings = try decode(
        "{\(minimal)," + #""lora":{"rank":8,"targets":["*.self_attn.*"]}"# + "\(more)}")
      #expect(settings.lora == LowRankSettings(rank: 8, alpha: 8, targets: ["*.self_attn.*"]))
      #expect(settings.train == train)
      #expect(try decode(JSON.object(settings.json).serialized()) == settings)
    }
  }

  @Test(arguments: [
    (#"{"rank":0,"targets":["*"]}"#, ".rank: 0 is out of bounds; give an integer from 1"),
    (#"{"targets":["*"]}"#, ".rank: missing; give an integer from 1"),
    (#"{"rank":4}"#, ".targets: missing; give a list of one or more non-empty strings"),
    (#"{"rank":4,"targets":[]}"#, ".targets: give a list of one or more non-empty strings"),
    (#"{"rank":4,"targets":"*"}"#, ".targets: give a list"),
    (#"{"rank":4,"alpha":0,"targets":["*"]}"#, ".alpha: 0.0 is out of bounds"),
    (#"{"rank":4,"target":["*"]}"#, ".target: unknown key; did you mean targets?"),
    ("true", ": found a boolean; give a section"),
  ])
  func badAdaptersAreNamed(_ text: String, _ message: String) {
    let error = #expect(throws: SettingsError.self) {
      try decode("{\(minimal),\"lora\":\(text)}")
    }
    let start = "p.yaml: stages[1].lora\(message)"
    #expect(error?.description.hasPrefix(start) == true, "\(error?.description ?? "")")
  }

  private let twoDomains = #""name":"s","tokens":9,"data":[{"file":"a.txt"},{"file":"x/b.txt"}]"#

  @Test func domainWeightingByTheTeacher() throws {
    let settings = try decode(
      "{\(twoDomains)," + #""domain_weighting":{"every":5,"reference":"teacher"}}"#)
    #expect(settings.domainWeighting == DomainWeighting(every: 5, reference: .teacher))
    #expect(try decode(JSON.object(settings.json).serialized()) == settings)
    #expect(settings.domains == ["a", "b"])
  }

  @Test(arguments: [
    (#"{"reference":"teacher"}"#, ".every: missing; give an integer from 1"),
    (#"{"every":0,"reference":"teacher"}"#, ".every: 0 is out of bounds"),
    (#"{"every":5}"#, ".reference: missing; give a loss above 0 for each of the 2 data files"),
    (#"{"every":5,"reference":[1]}"#, ".reference: give a loss above 0 for each of the 2 data"),
    (#"{"every":5,"reference":[1,-1]}"#, ".reference: give a loss above 0"),
    (#"{"every":5,"reference":"dense"}"#, ".reference: give a loss above 0"),
    (#"{"every":5,"references":[1,1]}"#, ".references: unknown key; did you mean reference?"),
    (#"{"every":5,"reference":[1,1],"windows":0}"#, ".windows: 0 is out of bounds"),
    ("[1]", ": found an array; give a section"),
  ])
  func badDomainWeightingIsNamed(_ text: String, _ message: String) {
    let error = #expect(throws: SettingsError.self) {
      try decode("{\(twoDomains),\"domain_weighting\":\(text)}")
    }
    let start = "p.yaml: stages[1].domain_weighting\(message)"
    #expect(error?.description.hasPrefix(start) == true, "\(error?.description ?? "")")
  }

  @Test func oneDomainHasNothingToWeigh() {
    let error = #expect(throws: SettingsError.self) {
      try decode(
        #"{"name":"s","tokens":9,"data":[{"file":"a.1.txt"},{"file":"a.2.txt"}],"#
          + #""domain_weighting":{"every":5,"reference":[1,1]}}"#)
    }
    #expect(
      error?.description
        == "p.yaml: stages[1].domain_weighting: the data is of one domain, a, whose share is always 1; give files of two or more, or leave it out"
    )
  }

  @Test(arguments: [
    (#"{"name":"s","data":[{"file":"a"}]}"#, "p.yaml: stages[1].tokens: missing"),
    (#"{"name":"s","tokens":1}"#, "p.yaml: stages[1].data: no data files"),
    (#"{"name":"../s","tokens":1,"data":[{"file":"a"}]}"#, "p.yaml: stages[1].name"),
    (
      #"{"name":"s","tokens":1,"data":[{"file":"a","weight":-1}]}"#,
      "p.yaml: stages[1].data[0].weight: -1.0 is out of bounds"
    ),
    (#"{"name":"s","tokens":1,"data":["a"]}"#, "p.yaml: stages[1].data[0]: found a string"),
  ])
  func requiredKeysAreRequired(_ text: String, _ start: String) {
    let error = #expect(throws: SettingsError.self) { try decode(text) }
    #expect(error?.description.hasPrefix(start) == true, "\(error?.description ?? "")")
  }
}

@Suite struct ScheduleTests {
  @Test func warmUpIsALineToOne() {
    let schedule = Schedule(kind: .cosine, warmupSteps: 4)
    #expect((0..<5).map { schedule.factor(step: $0, of: 20) } == [0.25, 0.5, 0.75, 1, 1])
  }

  @Test func cosineHalvesInTheMiddleAndEndsAtTheFraction() {
    let schedule = Schedule(kind: .cosine, warmupSteps: 10, finalFraction: 0.2)
    #expect(abs(schedule.factor(step: 60, of: 110) - 0.6) < 1e-12)
    #expect(abs(schedule.factor(step: 110, of: 110) - 0.2) < 1e-12)
    #expect(schedule.factor(step: 109, of: 110) > 0.2)
  }

  @Test func linearFallsEvenly() {
    let schedule = Schedule(kind: .linear, warmupSteps: 0)
    #expect((0..<4).map { schedule.factor(step: $0, of: 4) } == [1, 0.75, 0.5, 0.25])
  }

  @Test func constantStaysAndShortStagesOnlyWarmUp() {
    #expect(Schedule(kind: .constant, warmupSteps: 0).factor(step: 7, of: 8) == 1)
    #expect(Schedule(kind: .cosine, warmupSteps: 10).factor(step: 4, of: 5) == 0.5)
  }
}
