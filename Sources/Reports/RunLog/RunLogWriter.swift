/// Appends records to a run log, each in one write, so a crash tears at most the last line.
public final class RunLogWriter {
  private let file: LogFile

  /// Starts a log at `path`, or goes on with one that is there.
  ///
  /// A torn last line is cut off. With `step`, so is the first record of `stage` (of any stage
  /// where nil) whose `step` is greater, with everything after it: a resumed run does that work
  /// again.
  ///
  /// - Throws: when the file cannot be opened, read or cut, or a line within it is no JSON object.
  public init(path: String, keepingThrough step: Int? = nil, stage: String? = nil)
    throws(RunLogError)
  {
    file = try LogFile(path: path, writable: true)
    let bytes = try file.contents()
    let (records, whole) = try RunLog.scan(bytes, path: path)
    var end = whole
    if let step {
      let first = records.firstIndex { item in
        (stage == nil || item.record.stage == stage) && (item.record.step ?? .min) > step
      }
      if let first { end = first == 0 ? 0 : records[first - 1].end }
    }
    if end < bytes.count { try file.truncate(to: end) }
  }

  /// Appends one record as a line.
  public func append(_ record: RunLogRecord) throws(RunLogError) {
    try file.append(record.json + "\n")
  }

  /// Waits until everything appended is on the disk; call it before a checkpoint is declared good.
  public func synchronize() throws(RunLogError) { try file.synchronize() }
}
