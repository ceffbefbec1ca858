import TestSupport
import Testing

@testable import Data

@Suite struct TaskFileTests {
  private let folder = TemporaryFolder()

  private func read(_ lines: String, limit: Int? = nil) throws -> TaskFile {
    try TaskFile(path: folder.write("some_task.val.jsonl", lines), limit: limit)
  }

  @Test func theFormIsRecognisedFromTheFields() throws {
    let choice = try read(
      #"{"choices": ["a", "b"], "query": "q", "gold": 1, "extra": null}"# + "\n\n")
    #expect(choice.name == "some_task")
    #expect(choice.form == .multipleChoice)
    #expect(choice.samples == [.choices(query: "q", choices: ["a", "b"], gold: 1)])
    let contexts = try read(
      #"{"context_options": ["a", "b"], "continuation": "c", "gold": 0}"#)
    #expect(contexts.samples == [.contexts(options: ["a", "b"], continuation: "c", gold: 0)])
    let cloze = try read(#"{"context": "", "continuation": "c"}"#)
    #expect(cloze.samples == [.cloze(context: "", continuation: "c")])
    let question = try read(#"{"context": "q", "chain_of_thought": "x", "answer": "18"}"#)
    #expect(question.samples == [.question(context: "q", answer: "18")])
    #expect(try read(#"{"text": "t"}"#).samples == [.text("t")])
    let text = try TaskFile(path: folder.write("prose.txt", "one\ntwo\n"))
    #expect(text.form == .text && text.samples == [.text("one\ntwo\n")])
  }

  @Test func theLimitEndsReading() throws {
    let lines = #"{"text": "a"}"# + "\n" + #"{"text": "b"}"# + "\n" + "not JSON\n"
    #expect(try read(lines, limit: 2).samples == [.text("a"), .text("b")])
    #expect(throws: RecordError.self) { try read(lines) }
  }

  @Test(arguments: [
    (#"{"query": "q", "choices": ["a"]}"#, "fit no kind of task"),
    (#"["q"]"#, "not an object"),
    (#"{"query": "q", "choices": [], "gold": 0}"#, "\"choices\" is not a list"),
    (#"{"query": "q", "choices": ["a", 3], "gold": 0}"#, "choices[1]"),
    (#"{"query": 1, "choices": ["a"], "gold": 0}"#, "\"query\""),
    (#"{"query": "q", "choices": ["a", "b"], "gold": 2}"#, "from 0 to 1"),
    (#"{"query": "q", "choices": ["a", "b"], "gold": "A"}"#, "\"gold\""),
    (#"{"context": "q", "continuation": ""}"#, "\"continuation\" is empty"),
    (#"{"context_options": "ab", "continuation": "c", "gold": 0}"#, "\"context_options\""),
    (
      "{\"text\": \"a\"}\n{\"context\": \"a\", \"answer\": \"b\"}",
      ":2: a generation sample among text"
    ),
    ("\n", "no samples"),
  ])
  func malformedSamplesAreNamed(_ lines: String, _ part: String) throws {
    let error = #expect(throws: RecordError.self) { try read(lines) }
    #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
    #expect(error?.description.contains("some_task.val.jsonl") == true)
    #expect(error?.description.contains("\n") == false)
  }
}
