import Formats
import TestSupport
import Testing

/// `linearize`, and what other commands make of its result.
@Suite struct LinearizeCommandTests {
  private let checkpoint: ChatCheckpoint
  private let folder = TemporaryFolder()

  init() throws { checkpoint = try ChatCheckpoint() }

  private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  private func json(_ run: HerdRun) throws -> JSON {
    #expect(run.status == 0, "\(run.error)")
    return try JSON.parse(Array(run.output.utf8))
  }

  private func expectError(
    _ words: String, _ run: HerdRun, status: Int32 = 1,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(run.status == status, "\(run.error)", sourceLocation: sourceLocation)
    #expect(run.output.isEmpty, sourceLocation: sourceLocation)
    #expect(run.error.contains(words), "\(run.error)", sourceLocation: sourceLocation)
  }

  @Test func linearizeVerifyDiffConvertGenerate() throws {
    let made = try json(
      HerdRun(
        "linearize", checkpoint.path, path("hybrid"), "--keep-softmax", "1", "--json", "--threads",
        "1"))
    #expect(made["linear_layers"] == [0] && made["softmax_layers"] == [1])
    #expect(made["verification"]?["ledger"]?["created_tensors"]?.int == 4)
    let verified = try json(
      HerdRun("verify", path("hybrid"), "--against", checkpoint.path, "--json", "--quiet"))
    #expect(verified["ledger"]?["restored_tensors"]?.int == ChatCheckpoint.tensors.count)
    let difference = try HerdRun("diff", checkpoint.path, path("hybrid"))
    #expect(difference.output.contains("k_proj.weight: each head 2 times in"))
    #expect(difference.output.contains("only in \(path("hybrid")): "))
    #expect(try HerdRun("inspect", path("hybrid")).output.contains("alibi slopes"))

    let converted = try json(
      HerdRun(
        "convert", path("hybrid"), path("moe"), "--strategy", "sequential", "--experts", "4",
        "--top-k", "2", "--shared", "0", "--router", "random", "--json", "--threads", "1"))
    #expect(converted["verification"]?["passed"] == true)
    let reply = try HerdRun(
      "generate", path("moe"), "--prompt", "two?", "--max-tokens", "6", "--threads", "1")
    #expect(reply.status == 0, "\(reply.error)")
    expectError(
      "linear attention", try HerdRun("export", path("moe"), path("out"), "--format", "mixtral"))
    expectError(
      "linear already",
      try HerdRun("linearize", path("hybrid"), path("again"), "--keep-softmax", "none"))
    #expect(!Files.exists(path("again")))
  }

  @Test func optionsAreChecked() throws {
    func run(_ options: String...) throws -> HerdRun {
      try HerdRun(list: ["linearize", checkpoint.path, path("out")] + options)
    }
    expectError("alibi, tnl", try run("--slopes", "steep"), status: 64)
    expectError("choose lightning", try run("--mixer", "mamba"), status: 64)
    expectError("25%, 0,7,15, auto or none", try run("--keep-softmax", "some"), status: 64)
    expectError("give --data FILE", try run("--keep-softmax", "auto"), status: 64)
    expectError("rope or none", try run("--softmax-positions", "alibi"), status: 64)
    expectError("above 1", try run("--softmax-log-scale", "1"), status: 64)
    expectError("layers 0 to 1", try run("--keep-softmax", "9"))
    #expect(!Files.exists(path("out")))
    let plan = try json(run("--plan", "--json", "--keep-softmax", "none"))
    #expect(plan["linear_layers"] == [0, 1] && plan["new_tensors"]?.array?.count == 8)
    #expect(!Files.exists(path("out")))
  }
}
