import Formats
import TestSupport
import Testing

/// `generate --save-state` and `--load-state`, on a model with a linear and a softmax layer.
@Suite struct GenerationStateTests {
  private let checkpoint: ChatCheckpoint
  private let folder = TemporaryFolder()

  init() throws {
    checkpoint = try ChatCheckpoint()
    let made = try HerdRun(
      "linearize", checkpoint.path, path("hybrid"), "--keep-softmax", "1", "--window", "2",
      "--quiet")
    #expect(made.status == 0, "\(made.error)")
  }

  private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  private func tokens(_ arguments: String...) throws -> [JSON]? {
    let run = try HerdRun(
      list: ["generate", path("hybrid"), "--json", "--threads", "1"] + arguments)
    #expect(run.status == 0, "\(run.error)")
    return try JSON.parse(Array(run.output.utf8))["tokens"]?.array
  }

  private func expectError(
    _ words: String, _ arguments: [String], status: Int32 = 1,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let run = try HerdRun(list: ["generate"] + arguments)
    #expect(run.status == status && run.output.isEmpty, sourceLocation: sourceLocation)
    #expect(run.error.contains(words), "\(run.error)", sourceLocation: sourceLocation)
  }

  @Test func aSavedTextGoesOnAsIfItHadJustBeenRead() throws {
    let text = "what is one and two?"
    let whole = try tokens("--prompt", text, "--max-tokens", "8")
    #expect(whole?.isEmpty == false)
    #expect(
      try tokens("--prompt", text, "--max-tokens", "8", "--save-state", path("a")) == whole)
    #expect(try tokens("--load-state", path("a"), "--max-tokens", "8") == whole)
    #expect(
      try tokens("--load-state", path("a"), "--max-tokens", "8") == whole, "any number of times")

    // A text in two pieces, saved behind both.
    let pieces = try tokens(
      "--load-state", path("a"), "--prompt", " yes", "--max-tokens", "8", "--save-state", path("b"))
    #expect(try tokens("--load-state", path("b"), "--max-tokens", "8") == pieces)
    #expect(try tokens("--prompt", text, "--max-tokens", "0", "--save-state", path("c")) == [])
    #expect(try Files.read(path("c")) == Files.read(path("a")))
  }

  @Test func whatDoesNotFitIsRefused() throws {
    _ = try tokens("--prompt", "one and two", "--max-tokens", "0", "--save-state", path("a"))
    let hybrid = path("hybrid")
    try expectError(
      "exists already", [hybrid, "--prompt", "x", "--save-state", path("a")])
    try expectError(
      "another model", [checkpoint.path, "--load-state", path("a")])
    try expectError(
      "give --prompt, not --chat", [hybrid, "--chat", "x", "--load-state", path("a")], status: 64)
    try expectError("--save-state", [hybrid, "--prompt", "x", "--max-tokens", "0"], status: 64)
    try expectError(
      "no memory of a text",
      [hybrid, "--load-state", "\(checkpoint.path)/model.safetensors"])
    var bytes = try Files.read(path("a"))
    bytes[bytes.count - 3] ^= 1
    try Files.write(bytes, to: path("damaged"))
    try expectError("not the bytes", [hybrid, "--load-state", path("damaged")])
    try expectError("cannot open", [hybrid, "--load-state", path("missing")])
  }
}
