import Formats
import Foundation
import TestSupport
import Testing

/// `train` and `run`, on a checkpoint written here.
@Suite struct RunCommandTests {
  private let checkpoint: ChatCheckpoint
  private let folder = TemporaryFolder()

  init() throws { checkpoint = try ChatCheckpoint() }

  private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  /// Writes a pipeline of two stages and returns its path.
  private func pipeline(steps: Int, every: Int, learningRate: String = "1e-3") -> String {
    let data = checkpoint.data("toy.jsonl")
    func stage(_ name: String) -> String {
      """
        - name: \(name)
          data: [{file: \(data)}]
          tokens: \(steps * 2 * 32)
          sequence_length: 32
          batch_sequences: 2
          learning_rate: \(learningRate)
          losses: {cross_entropy: 1, distillation: 0.5}
          checkpoint_every: \(every)

      """
    }
    return folder.write(
      "toy.yaml",
      """
      name: toy
      model: \(checkpoint.path)
      convert: {experts: 4, top_k: 2, shared: 0, strategy: random, router: random}
      stages:
      \(stage("one"))\(stage("two"))
      evaluate: {data: [\(data)], window: 32, windows: 2}
      export: [mixtral, granitemoeshared]
      """)
  }

  private func run(_ command: String, _ options: String...) throws -> HerdRun {
    try HerdRun(list: [command, path("toy.yaml"), "--threads", "2"] + options)
  }

  private func json(_ run: HerdRun) throws -> JSON {
    #expect(run.status == 0, "\(run.error)")
    return try JSON.parse(Array(run.output.utf8))
  }

  @Test func theWholePipeline() throws {
    _ = pipeline(steps: 3, every: 2)
    let estimate = try json(run("run", "--output", path("a"), "--dry-run", "--json"))
    #expect(estimate["tokens"]?.int == 2 * 3 * 64)
    #expect(try run("run", "--output", path("a"), "--dry-run").output.contains("two: 3 steps"))
    #expect(!Files.exists(path("a")))

    let first = try run("run", "--output", path("a"), "--json")
    let result = try json(first)
    #expect(result["was_finished"] == false)
    #expect(result["steps"]?["export:granitemoeshared"] != nil)
    #expect(first.error.contains("one") && first.error.contains("two"))
    let again = try run("run", "--output", path("a"))
    #expect(again.status == 0)
    #expect(again.output.contains("already finished"))

    _ = pipeline(steps: 3, every: 2, learningRate: "2e-3")
    let changed = try run("run", "--output", path("a"))
    #expect(changed.status == 1 && changed.errorLines.count == 1 && changed.output.isEmpty)
    #expect(changed.error.contains("stages[0].learning_rate, stages[1].learning_rate"))
  }

  /// No resume checkpoint makes a stage's folder beforehand.
  @Test func withoutResumeCheckpoints() throws {
    _ = pipeline(steps: 2, every: 0)
    let finished = try run("run", "--output", path("a"))
    #expect(finished.status == 0, "\(finished.error)")
    #expect(Files.exists(path("a/two/config.json")) && !Files.exists(path("a/two/checkpoint")))
  }

  @Test func trainByStage() throws {
    _ = pipeline(steps: 2, every: 2)
    let first = try json(run("train", "--stage", "one", "--output", path("a"), "--json"))
    #expect(first["steps"]?["stage:one"] != nil && first["steps"]?["stage:two"] == nil)
    let again = try run("train", "--output", path("a"))
    #expect(again.status == 1 && again.error.contains("--resume"))
    let rest = try json(run("train", "--output", path("a"), "--resume", "--json"))
    #expect(rest["steps"]?["stage:two"] != nil && rest["steps"]?["report"] == nil)
    let unknown = try run("train", "--stage", "none", "--output", path("b"))
    #expect(unknown.status == 1 && unknown.error.contains("no stage \"none\""))
    #expect(!Files.exists(path("b")))
    let missing = try HerdRun("run", path("none.yaml"))
    #expect(missing.status == 1 && missing.errorLines.count == 1)
  }

  /// Starts a run and ends it with SIGKILL as soon as `file` is there. Returns whether the signal
  /// came before the run's own end, which depends on the scheduler.
  private func kill(_ output: String, at file: String) throws -> Bool {
    let process = Process()
    process.executableURL = try HerdRun.program()
    process.arguments = [
      "run", path("toy.yaml"), "--output", output, "--threads", "2", "--quiet",
    ]
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    let deadline = ContinuousClock.now + .seconds(120)
    while process.isRunning, !Files.exists("\(output)/\(file)"), ContinuousClock.now < deadline {
      usleep(500)
    }
    Foundation.kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    return process.terminationReason == .uncaughtSignal
  }

  @Test func aKilledRunEndsWithTheSameBits() throws {
    _ = pipeline(steps: 60, every: 10)
    let options = ["--threads", "2", "--quiet"]
    #expect(
      try HerdRun(list: ["run", path("toy.yaml"), "--output", path("whole")] + options).status == 0)
    let kills = try [
      "converted/config.json", "one/checkpoint/step-20/state.json",
      "one/checkpoint/step-50/state.json", "two/checkpoint/step-30/state.json",
    ].map { try kill(path("killed"), at: $0) }
    #expect(kills.count { $0 } >= 2, "the runs ended before they were killed")
    let end = try run("run", "--output", path("killed"))
    #expect(end.status == 0, "\(end.error)")
    if kills[3] { #expect(end.error.contains("two: going on at step")) }
    for name in ["converted", "one", "two", "export/mixtral"] {
      let file = "\(name)/model.safetensors"
      #expect(
        try Files.read(path("killed/\(file)")) == Files.read(path("whole/\(file)")), "\(name)")
    }
    #expect(
      try stepLines("killed") == stepLines("whole"), "the log has each step once, with its loss")
  }

  private func stepLines(_ output: String) throws -> [String] {
    try Files.read(path("\(output)/run.jsonl")).split(separator: UInt8(ascii: "\n")).compactMap {
      let line = try JSON.parse(Array($0))
      guard line["event"] == "step" else { return nil }
      return "\(line["stage"]?.string ?? "") \(line["step"]?.int ?? 0) \(line["loss"]?.double ?? 0)"
    }
  }
}
