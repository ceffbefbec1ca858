import Formats
import Reports

/// One stage's part of `run.jsonl`: lines of steps and evaluations, cut back on resume.
final class StageLog {
  private let path: String
  private let stage: String
  private var writer: RunLogWriter

  /// Goes on with the log at `path`, or starts it. Lines of this stage that an earlier attempt left
  /// are kept until ``rewind(after:)``.
  init(path: String, stage: String) throws {
    self.path = path
    self.stage = stage
    writer = try RunLogWriter(path: path)
  }

  /// Drops this stage's lines after `step`: those steps are done again.
  func rewind(after step: Int) throws {
    writer = try RunLogWriter(path: path, keepingThrough: step, stage: stage)
  }

  /// The loss of the last step logged for this stage; `nil` before the first.
  func lastLoss() throws -> Double? {
    try RunLog.records(at: path).last { $0.stage == stage && $0["loss"] != nil }?["loss"]?.number
  }

  /// Waits until every line is on the disk.
  func synchronize() throws { try writer.synchronize() }

  /// Adds a line.
  func append(_ line: JSONObject) throws {
    try writer.append(RunLogRecord(line))
  }
}

extension RunLogRecord {
  fileprivate init(_ object: JSONObject) {
    self.init()
    for (key, value) in object { self[key] = RunLogValue(value) }
  }
}

extension RunLogValue {
  fileprivate init(_ json: JSON) {
    switch json {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .number(let number):
      self = number.int.map { .int($0) } ?? .double(number.double ?? .nan)
    case .string(let value): self = .string(value)
    case .array(let values): self = .array(values.map { RunLogValue($0) })
    case .object(let object): self = .object(RunLogRecord(object))
    }
  }
}
