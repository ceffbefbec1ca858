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

  /// Into the layers of MiniMax-01, experts, stock transformers' format, and back.
  @Test func minimaxIsLinearizedConvertedExportedAndRead() throws {
    let made = try json(
      HerdRun(
        "linearize", checkpoint.path, path("hybrid"), "--mixer", "minimax", "--keep-softmax", "1",
        "--json", "--threads", "1"))
    #expect(made["verification"]?["ledger"]?["created_tensors"]?.int == 2)
    _ = try json(
      HerdRun(
        "convert", path("hybrid"), path("moe"), "--strategy", "sequential", "--experts", "4",
        "--top-k", "2", "--shared", "0", "--router", "random", "--combination",
        "renormalized_softmax", "--json", "--threads", "1"))
    for name in ["hybrid", "moe"] {
      let written = try json(
        HerdRun("export", path(name), path("stock-\(name)"), "--format", "minimax", "--json"))
      #expect(written["rounding"]?.isNull == true)
      func reply(_ folder: String) throws -> String {
        let run = try HerdRun(
          "generate", path(folder), "--prompt", "two?", "--max-tokens", "6", "--threads", "1")
        #expect(run.status == 0, "\(run.error)")
        return run.output
      }
      #expect(try reply("stock-\(name)") == reply(name))
      let scores = try ["stock-\(name)", name].map {
        try json(
          HerdRun(
            "evaluate", path($0), "--data", checkpoint.data("math.jsonl"), "--window", "32",
            "--windows", "2", "--json", "--threads", "1"))["mean"]
      }
      #expect(scores[0] == scores[1] && scores[0]?.double?.isFinite == true)
    }
    let seen = try HerdRun("inspect", path("stock-moe")).output
    #expect(seen.contains("minimax slopes, sigmoid gate") && seen.contains("attention, 4 query"))
    #expect(seen.contains("of normalised rows, softmax: α 1.414"))
    expectError(
      "use a checkpoint of llama",
      try HerdRun("linearize", path("stock-hybrid"), path("again"), "--keep-softmax", "none"))
    expectError(
      "is not a dense model", try HerdRun("convert", path("stock-hybrid"), path("again")))
    expectError(
      "export starts from herd's own format",
      try HerdRun("export", path("stock-hybrid"), path("again"), "--format", "minimax"))
  }

  @Test func optionsAreChecked() throws {
    func run(_ options: String...) throws -> HerdRun {
      try HerdRun(list: ["linearize", checkpoint.path, path("out")] + options)
    }
    expectError("alibi, tnl", try run("--slopes", "steep"), status: 64)
    expectError("Choose from lightning, minimax", try run("--mixer", "mamba"), status: 64)
    expectError("minimax slopes", try run("--mixer", "minimax", "--slopes", "tnl"), status: 64)
    expectError("do not share keys", try run("--mixer", "minimax", "--share-keys"), status: 64)
    expectError("the mixer minimax", try run("--residual-alpha", "2"), status: 64)
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
