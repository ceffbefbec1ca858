import Formats
import TestSupport
import Workflows

/// A folder with pipelines small enough to run in a test: `dense.yaml` makes text, a tokenizer and
/// a LLaMA of 2 layers; `moe.yaml` converts, trains, evaluates and exports it.
struct SmallRun {
  let folder = TemporaryFolder()

  /// Sections of `moe.yaml` and their text.
  static let sections = [
    "convert": "{experts: 4, top_k: 2, shared: 0, strategy: cluster-weights, router: regressed, "
      + "data: [dense/data/math.train.jsonl], calibration_tokens: 300}",
    "evaluate": "{data: [dense/data/math.val.jsonl, dense/data/code.val.jsonl], window: 48, "
      + "windows: 3, exact_match: 2}",
    "export": "[mixtral]",
  ]

  /// A stage of 6 steps with resume states at 2, 4 and 6.
  ///
  /// - Parameter more: Lines of further settings.
  static func stage(
    _ name: String, learningRate: String = "3e-3", saved: String = "f32", more: [String] = []
  ) -> String {
    let stage = """
      - name: \(name)
        data:
          - {file: dense/data/math.train.jsonl, weight: 1}
          - {file: dense/data/code.train.jsonl, weight: 2}
        tokens: 1152
        sequence_length: 48
        batch_sequences: 4
        micro_batch: 2
        learning_rate: \(learningRate)
        schedule: {kind: cosine, warmup_steps: 1}
        losses: {cross_entropy: 0.5, distillation: 0.5, hidden_alignment: 1, load_balance: 0.01}
        evaluate_every: 3
        checkpoint_every: 2
        save_dtype: \(saved)
      """
    return ([stage] + more.map { "  " + $0 }).joined(separator: "\n")
  }

  /// Runs `dense.yaml`, so that `dense/initial` and `dense/data` are there.
  init() throws {
    let path = folder.write(
      "dense.yaml",
      """
      seed: 3
      synthesize: {records: 60, held_out: 40, vocabulary: 300}
      initialize: {hidden_size: 32, layers: 2, heads: 4, key_heads: 2, width: 64, max_positions: 96}

      """)
    _ = try Run(Pipeline(contentsOf: path), output: self.path("dense"), device: .cpu(threads: 1))
      .execute()
  }

  /// A path in the folder.
  func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  /// Writes `moe.yaml` with the given stages and reads it.
  func pipeline(
    _ stages: [String] = [stage("one"), stage("two", saved: "bf16")],
    sections: [String: String] = Self.sections
  ) throws -> Pipeline {
    var lines = ["name: moe", "seed: 5", "model: dense/initial"]
    lines += sections.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
    if !stages.isEmpty { lines += ["stages:"] + stages }
    return try Pipeline(
      contentsOf: folder.write("moe.yaml", lines.joined(separator: "\n") + "\n"))
  }

  /// Leaves the finished run of stages `one` and `two` as a kill after step 4 of `two` would.
  func interruptStageTwo() throws {
    for name in try Files.names(inFolder: path("moe/two")) where name != "checkpoint" {
      try Files.remove(path("moe/two/\(name)"))
    }
    try Files.remove(path("moe/two/checkpoint/step-6"))
    var state = try ConfigurationFile(contentsOf: path("moe/run.json"))
    var steps = try state.section("steps").object
    for step in steps.keys where step.hasSuffix(":two") || step == "report" { steps[step] = nil }
    steps["export:mixtral"] = nil
    state["steps"] = .object(steps)
    try state.write(to: path("moe/run.json"))
  }

  /// Runs the pipeline into `moe`, two threads.
  func run(_ pipeline: Pipeline, events: WorkflowEvents = .init()) throws -> Run.Result {
    try Run(pipeline, output: path("moe"), device: .cpu(threads: 2), events: events).execute()
  }

  /// The lines of `moe/run.jsonl`.
  func log() throws -> [JSON] {
    try Files.read(path("moe/run.jsonl")).split(separator: UInt8(ascii: "\n"))
      .map { try JSON.parse(Array($0)) }
  }
}
