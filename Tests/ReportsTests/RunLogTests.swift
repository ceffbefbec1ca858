import Formats
import TestSupport
import Testing

@testable import Reports

@Suite("ReportsTests: run log")
struct RunLogTests {
  private let folder = TemporaryFolder()
  private var path: String { "\(folder.path)/run.jsonl" }

  private func text() throws -> String { String(decoding: try Files.read(path), as: UTF8.self) }

  @Test("records survive writing and reading")
  func roundTrip() throws {
    let record: RunLogRecord = [
      "step": 3, "loss": 1.5, "tiny": 1e-07, "huge": 1e21, "text": "a\"\\\n\t\u{1}é😀/", "ok": true,
      "none": .null, "load": [[1, 2], []], "nested": .object(["a": -0.25]), "whole": 2.0,
    ]
    let writer = try RunLogWriter(path: path)
    try writer.append(record)
    try writer.append([:])
    try writer.synchronize()
    let read = try RunLog.records(at: path)
    #expect(read == [record, [:]])
    #expect(try text().filter { $0 == "\n" }.count == 2)
  }

  @Test("the spelling is plain JSON in the order given")
  func spelling() {
    let record: RunLogRecord = ["b": 1, "a": 2.0, "s": "\u{1F}\u{7}\"", "l": [.null, false]]
    #expect(record.json == #"{"b":1,"a":2.0,"s":"\u001f\u0007\"","l":[null,false]}"#)
  }

  @Test("numbers that are not finite are written as strings and read as numbers")
  func nonFinite() throws {
    let record: RunLogRecord = [
      "nan": .double(.nan), "up": .double(.infinity), "down": .double(-.infinity),
    ]
    #expect(record.json == #"{"nan":"NaN","up":"Infinity","down":"-Infinity"}"#)
    folder.write("run.jsonl", record.json + "\n")
    let read = try #require(try RunLog.records(at: path).first)
    #expect(read["nan"]?.number?.isNaN == true)
    #expect(read["up"]?.number == .infinity && read["down"]?.number == -.infinity)
  }

  @Test(
    "a last line cut anywhere is dropped on reading and cut off on resuming",
    arguments: [1, 5, 10, 14, 15])
  func torn(kept: Int) throws {
    let (first, second) = ("{\"step\":1}\n", "{\"step\":2,\"x\":0}")
    folder.write("run.jsonl", first + second.prefix(kept))
    #expect(try RunLog.records(at: path).map(\.step) == [1])
    let writer = try RunLogWriter(path: path)
    try writer.append(["step": 7])
    #expect(try text() == first + "{\"step\":7}\n")
  }

  @Test("zeros from a power failure at the end are dropped, whole nonsense before is an error")
  func damage() throws {
    folder.write("run.jsonl", "{\"step\":1}\n\u{0}\u{0}\u{0}")
    #expect(try RunLog.records(at: path).count == 1)
    folder.write("run.jsonl", "{\"step\":1}\n{\"step\":}\n{\"step\":3}\n")
    #expect(throws: RunLogError.malformed(path: path, line: 2)) { try RunLog.records(at: path) }
    #expect(throws: RunLogError.self) { try RunLogWriter(path: path) }
    #expect(try text().hasSuffix("{\"step\":3}\n"), "nothing may be cut then")
  }

  @Test("resuming drops what came after the step, in its stage only")
  func resume() throws {
    let writer = try RunLogWriter(path: path)
    for (stage, steps) in [("one", 1...4), ("two", 1...3)] {
      for step in steps { try writer.append(["stage": .string(stage), "step": .int(step)]) }
      try writer.append(["stage": .string(stage), "event": "done"])
    }
    _ = try RunLogWriter(path: path, keepingThrough: 2, stage: "two")
    #expect(try RunLog.records(at: path).map(\.step) == [1, 2, 3, 4, nil, 1, 2])
    _ = try RunLogWriter(path: path, keepingThrough: 9, stage: "one")
    #expect(try RunLog.records(at: path).count == 7)
    _ = try RunLogWriter(path: path, keepingThrough: 0)
    #expect(try RunLog.records(at: path).isEmpty)
  }

  @Test(
    "what is not one JSON object is no record",
    arguments: [
      "", "[]", "{\"a\":1", "{\"a\":1}x", "{\"a\":01e}", "{\"a\":1,}", "{a:1}", "{\"a\":\"\\x\"}",
      "{\"a\":\"\\ud800\"}", "{\"a\":+1}", "{\"a\":1,\"a\":2}", "{\"a\":\"\u{1}\"}", "nul",
      String(repeating: "{\"a\":", count: 5000),
    ])
  func malformed(line: String) {
    #expect(RunLogParser.record(Array(line.utf8)[...]) == nil)
  }

  @Test("escapes and spaces that other writers use are read")
  func foreign() {
    let line = #" { "a" : "\u00e9\ud83d\ude00\/\b" , "b" : [ 1 , -2.5E3 ] } "#
    let record = RunLogParser.record(Array(line.utf8)[...])
    #expect(record == ["a": "é😀/\u{8}", "b": [1, .double(-2500)]])
  }

  @Test("a missing file and a folder are errors that name the path")
  func cannotOpen() {
    #expect(throws: RunLogError.self) { try RunLog.records(at: "\(folder.path)/none.jsonl") }
    let text = RunLogError.cannotOpen(path: "x/run.jsonl", reason: "No such file").description
    #expect(text.hasPrefix("x/run.jsonl: ") && !text.contains("\n"))
  }
}
