import Formats
import Foundation
import TestSupport
import Testing

/// `evaluate --tasks`, on a checkpoint written here.
@Suite struct TaskCommandTests {
  private let checkpoint: ChatCheckpoint

  init() throws { checkpoint = try ChatCheckpoint() }

  private func json(_ run: HerdRun) throws -> JSON {
    #expect(run.status == 0, "\(run.error)")
    return try JSON.parse(Array(run.output.utf8))
  }

  private func file(_ name: String, _ lines: String...) -> String {
    checkpoint.folder.write(name, lines.map { $0 + "\n" }.joined())
  }

  @Test func everyFormIsScored() throws {
    let folder = checkpoint.folder.path
    let tasks = [
      file(
        "toy_choice.jsonl", #"{"query": "Two and", "choices": ["two", "three"], "gold": 0}"#,
        #"{"query": "One and", "choices": ["one", "two", "three"], "gold": 2}"#),
      file(
        "toy_contexts.jsonl",
        #"{"context_options": ["ab", "cd"], "continuation": "ef", "gold": 1}"#),
      file("toy_cloze.jsonl", #"{"context": "a b", "continuation": "c"}"#),
      file("toy_question.jsonl", #"{"context": "1 + 1?", "answer": "2"}"#),
      file("toy_text.txt", "Some words.", "And more."),
    ]
    let samples = "\(folder)/samples.jsonl"
    let arguments = ["evaluate", checkpoint.path, "--tasks"] + tasks
    let result = try json(
      HerdRun(list: arguments + ["--samples", samples, "--json", "--quiet"]))["tasks"]
    #expect(result?["toy_choice"]?["samples"]?.int == 2)
    for (task, metrics) in [
      ("toy_choice", ["acc", "acc_norm", "acc_bytes", "acc_stderr"]), ("toy_contexts", ["acc"]),
      ("toy_cloze", ["perplexity", "acc"]),
      ("toy_question", ["exact_match,strict-match", "exact_match,flexible-extract"]),
      ("toy_text", ["word_perplexity", "byte_perplexity", "bits_per_byte"]),
    ] {
      for metric in metrics { #expect(result?[task]?[metric]?.double != nil, "\(task) \(metric)") }
    }
    let lines = try String(contentsOfFile: samples, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 6)
    let first = try JSON.parse(Array(lines[0].utf8))
    #expect(first["task"]?.string == "toy_choice" && first["doc_id"]?.int == 0)
    #expect(first["arguments"]?.array?.count == 2)
    #expect(first["resps"]?.array?[1].array?.count == 2)

    let limited = try json(HerdRun(list: arguments + ["--limit", "1", "--json", "--quiet"]))
    #expect(limited["tasks"]?["toy_choice"]?["samples"]?.int == 1)
    let text = try HerdRun(list: arguments + ["--limit", "1"])
    #expect(text.output.contains("exact_match,strict-match"))
    #expect(text.error.contains("toy_cloze"))
  }

  @Test func mistakesAreOneLine() throws {
    let good = file("good.jsonl", #"{"context": "a", "continuation": "b"}"#)
    let bad = file("bad.jsonl", #"{"query": "a"}"#)
    let again = checkpoint.folder.write("more/good.jsonl", #"{"text": "a"}"#)
    let cases: [(options: [String], status: Int32, part: String)] = [
      (["--tasks", bad], 1, "bad.jsonl:1"), (["--tasks", good, again], 1, "two tasks"),
      (["--tasks", "absent.jsonl"], 1, "absent.jsonl"),
      (["--tasks", good, "--limit", "0"], 64, "--limit"),
      (["--wikitext", good, "--limit", "2"], 64, "--tasks"),
      (["--tasks", good, "--samples", "\(checkpoint.path)/no/folder.jsonl"], 1, "folder.jsonl"),
    ]
    for (options, status, part) in cases {
      let run = try HerdRun(list: ["evaluate", checkpoint.path, "--quiet"] + options)
      #expect(run.status == status, "\(options): \(run.error)")
      // Wrong usage is followed by how to use the command.
      #expect(run.errorLines.count == 1 || status == 64, "\(run.error)")
      #expect(run.errorLines.first?.contains(part) == true, "\(run.error)")
      #expect(run.output.isEmpty)
    }
  }
}
