import Formats
import TestSupport
import Testing

/// Every bad input ends in one line on standard error, nothing on standard output, status 1.
@Suite struct BadInputTests {
  private let checkpoint: ChatCheckpoint

  init() throws { checkpoint = try ChatCheckpoint() }

  private func expectError(
    _ words: String, _ run: HerdRun, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(run.status == 1, sourceLocation: sourceLocation)
    #expect(run.output.isEmpty, sourceLocation: sourceLocation)
    #expect(run.errorLines.count == 1, "\(run.error)", sourceLocation: sourceLocation)
    #expect(run.error.hasPrefix("herd: error: "), sourceLocation: sourceLocation)
    #expect(run.error.contains(words), "\(run.error)", sourceLocation: sourceLocation)
  }

  private func edit(_ key: String, _ value: JSON?) throws {
    let path = "\(checkpoint.path)/config.json"
    var config = try ConfigurationFile(contentsOf: path)
    config[key] = value
    try config.write(to: path)
  }

  @Test func folders() throws {
    expectError("no such folder", try HerdRun("inspect", "/nowhere/at-all"))
    expectError("not a folder", try HerdRun("inspect", "\(checkpoint.path)/config.json"))
    let empty = TemporaryFolder()
    expectError("config.json", try HerdRun("inspect", empty.path))
    expectError("no such folder", try HerdRun("tokenize", "/nowhere/at-all"))
  }

  @Test func configurations() throws {
    try edit("model_type", "gpt2")
    expectError("gpt2", try HerdRun("inspect", checkpoint.path))
    try edit("model_type", "llama")
    try edit("intermediate_size", 32)
    expectError("gate_proj", try HerdRun("inspect", checkpoint.path))
    try edit("intermediate_size", 24)
    try edit("num_hidden_layers", 1)
    expectError("model.layers.1.", try HerdRun("inspect", checkpoint.path))
    try edit("num_hidden_layers", 3)
    expectError("model.layers.2.", try HerdRun("inspect", checkpoint.path))
    try edit("num_hidden_layers", nil)
    expectError("num_hidden_layers", try HerdRun("inspect", checkpoint.path))
    checkpoint.folder.write("config.json", "{\"model_type\": ")
    expectError("config.json", try HerdRun("inspect", checkpoint.path))
  }

  @Test func weightsAndTokenizers() throws {
    let weights = "\(checkpoint.path)/model.safetensors"
    let bytes = try Files.read(weights)
    checkpoint.folder.write("model.safetensors", Array(bytes.dropLast(100)))
    expectError("model.safetensors", try HerdRun("inspect", checkpoint.path))
    // Every value of the last tensor becomes NaN, which only loading can see.
    let damaged = Array(bytes.dropLast(32)) + [UInt8](repeating: 0xFF, count: 32)
    checkpoint.folder.write("model.safetensors", damaged)
    #expect(try HerdRun("inspect", checkpoint.path).status == 0)
    expectError("NaN", try HerdRun("generate", checkpoint.path, "--chat", "x"))
    checkpoint.folder.write("model.safetensors", bytes)
    let tokenizer = ChatCheckpoint.vocabulary.tokenizerJSON
    checkpoint.folder.write(
      "tokenizer.json", tokenizer.replacing("\"id\": 260", with: "\"id\": 264"))
    expectError("264", try HerdRun("inspect", checkpoint.path))
    checkpoint.folder.write("tokenizer.json", "[]")
    expectError("tokenizer.json", try HerdRun("tokenize", checkpoint.path, input: "x"))
  }

  @Test func data() throws {
    func evaluate(_ name: String, _ text: String) throws -> HerdRun {
      try HerdRun(
        "evaluate", checkpoint.path, "--data", checkpoint.folder.write(name, text), "--window",
        "16", "--quiet")
    }
    expectError("bad.jsonl:2:", try evaluate("bad.jsonl", "{\"text\": \"abc\"}\n{\"text\": \n"))
    expectError("empty.jsonl", try evaluate("empty.jsonl", ""))
    expectError("window", try evaluate("short.jsonl", "{\"text\": \"abc\"}\n"))
    expectError("zstd", try evaluate("not.jsonl.zst", "plain text"))
    expectError("table.csv", try evaluate("table.csv", "a,b"))
    expectError(
      "positions",
      try HerdRun(
        "evaluate", checkpoint.path, "--data", checkpoint.data("toy.jsonl"), "--window", "65",
        "--quiet"))
  }

  @Test func linesOfIds() throws {
    expectError(
      "standard input:2: \"x\"",
      try HerdRun("tokenize", checkpoint.path, "--decode", "--json", input: "1 2\nx\n"))
    expectError(
      "264", try HerdRun("tokenize", checkpoint.path, "--decode", "--json", input: "264\n"))
    let file = checkpoint.folder.write("latin1.txt", [0x61, 0x0A, 0xE9, 0x0A])
    expectError(
      "latin1.txt:2:", try HerdRun("tokenize", checkpoint.path, "--json", "--file", file))
  }

  @Test func promptsWithoutRoomOrFormat() throws {
    expectError(
      "positions",
      try HerdRun(
        "generate", checkpoint.path, "--chat", String(repeating: "long ", count: 40)))
    // A tokenizer without the chat tokens and no template: the format must be named.
    let plain = ChatCheckpoint.vocabulary.tokenizerJSON.replacing(
      "<|start_header_id|>", with: "<|s|>")
    checkpoint.folder.write("tokenizer.json", plain)
    checkpoint.folder.write("tokenizer_config.json", "{}")
    expectError("--chat-format", try HerdRun("generate", checkpoint.path, "--chat", "x"))
  }
}
