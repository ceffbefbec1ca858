import Data
import TestSupport
import Testing

@Suite struct RecordReaderTests {
  private func records(_ name: String, _ text: String) throws -> [Record] {
    let folder = TemporaryFolder()
    let reader = try RecordReader(path: folder.write(name, text))
    var records: [Record] = []
    while let record = try reader.next() { records.append(record) }
    return records
  }

  @Test func readsEverySpelling() throws {
    let text = """
      {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}

      {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
      {"text": "plain"}
      {"instruction": "do", "input": "", "output": "done"}
      {"instruction": "do", "input": "it", "output": "done"}\r
      {"prompt": "p", "response": "r"}
      """
    let talk = [Message(role: "user", content: "a"), Message(role: "assistant", content: "b")]
    #expect(
      try records("c.jsonl", text) == [
        .messages(talk), .messages(talk), .text("plain"),
        .instruction(prompt: "do", response: "done"),
        .instruction(prompt: "do\n\nit", response: "done"),
        .instruction(prompt: "p", response: "r"),
      ])
    #expect(try records("c.txt", text) == [.text(text)])
  }

  /// Errors say file, line, what is wrong and how to mend it, in one line.
  @Test(arguments: [
    ("[]", "not an object"), ("{", "column"), ("{}", "none of"),
    (#"{"text": 1}"#, "\"text\" is an"),
    (#"{"messages": []}"#, "not a list with messages"), (#"{"messages": [1]}"#, "messages[0]"),
    (#"{"messages": [{"role": "user"}]}"#, "messages[0].content"),
    (#"{"messages": [{"role": "king", "content": ""}]}"#, "unknown role \"king\""),
    (#"{"messages": [{"role": "user", "content": ["x"]}]}"#, "is an array"),
    (#"{"prompt": "x"}"#, "\"response\" is missing"), (#"{"text": "\ud800"}"#, "column"),
    (#"{"text": "a"}{"text": "b"}"#, "column"), (#"{"text": "a", "text": "b"}"#, "column"),
  ])
  func malformedLines(line: String, problem: String) throws {
    let error = #expect(throws: RecordError.self) {
      try records("c.jsonl", "{\"text\": \"fine\"}\n\(line)\n")
    }
    let found = try #require(error)
    #expect(found.line == 2)
    #expect(found.description.contains("c.jsonl:2: "))
    #expect(found.description.contains(problem), "\(found)")
    #expect(!found.description.contains("\n"))
  }

  @Test func malformedFiles() throws {
    for (name, text) in [("a.jsonl", ""), ("a.jsonl", "\n \n"), ("a.txt", ""), ("a.csv", "x")] {
      #expect(throws: RecordError.self) { try records(name, text) }
    }
    let folder = TemporaryFolder()
    #expect(throws: RecordError.self) { try RecordReader(path: "\(folder.path)/none.jsonl") }
    #expect(throws: RecordError.self) { try RecordReader(path: folder.path + ".txt") }
    let reader = try RecordReader(path: folder.write("a.txt", [0xFF, 0xFE]))
    #expect(throws: RecordError.self) { try reader.next() }
  }

  /// Lines that straddle the chunks in which a file is read.
  @Test func longLines() throws {
    let texts = [300_000, 1, 262_100, 40].map { String(repeating: "x", count: $0) }
    let lines = texts.map { "{\"text\": \"\($0)\"}" }.joined(separator: "\n")
    #expect(try records("long.jsonl", lines) == texts.map(Record.text))
  }
}
