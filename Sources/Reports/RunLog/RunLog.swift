/// Reading run logs: files of one JSON object a line.
public enum RunLog {
  /// All whole records of a log, in order. A last line that a crash cut short is left out.
  ///
  /// - Throws: when the file cannot be read, or a line before the last is not a JSON object.
  public static func records(at path: String) throws(RunLogError) -> [RunLogRecord] {
    let file = try LogFile(path: path, writable: false)
    return try scan(try file.contents(), path: path).records.map(\.record)
  }

  /// The records of a log's bytes and how many bytes they fill.
  static func scan(
    _ bytes: [UInt8], path: String
  ) throws(RunLogError) -> (records: [(record: RunLogRecord, end: Int)], end: Int) {
    var records: [(record: RunLogRecord, end: Int)] = []
    var start = 0
    var line = 1
    while let feed = bytes[start...].firstIndex(of: 0x0A) {
      let end = feed + 1
      if let record = RunLogParser.record(bytes[start..<feed]) {
        records.append((record, end))
      } else if end < bytes.count {
        throw .malformed(path: path, line: line)
      } else {
        break
      }
      start = end
      line += 1
    }
    return (records, start)
  }
}

/// Why a run log could not be read or written.
public enum RunLogError: Error, Equatable, CustomStringConvertible {
  case cannotOpen(path: String, reason: String)
  case cannotRead(path: String, reason: String)
  case cannotWrite(path: String, reason: String)
  case malformed(path: String, line: Int)

  public var description: String {
    switch self {
    case .cannotOpen(let path, let reason):
      "\(path): the run log cannot be opened: \(reason); check the folder and its permissions"
    case .cannotRead(let path, let reason): "\(path): the run log cannot be read: \(reason)"
    case .cannotWrite(let path, let reason):
      "\(path): the run log cannot be written: \(reason); free some space and resume the run"
    case .malformed(let path, let line):
      "\(path):\(line): not a JSON object; remove or repair this line and resume the run"
    }
  }
}
