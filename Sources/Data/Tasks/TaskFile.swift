/// The samples of an evaluation task, read from a file that the user has.
///
/// `.jsonl` holds one sample a line, all of one form; `.txt` is one plain text. Both may be
/// compressed as `.zst`.
public struct TaskFile: Sendable, Equatable {
  /// The task's name: the file's up to its first dot.
  public let name: String
  /// What is asked.
  public let form: TaskForm
  /// The samples, in file order.
  public let samples: [TaskSample]

  /// A task from its parts.
  /// - Precondition: All samples have this form.
  public init(name: String, form: TaskForm, samples: [TaskSample]) {
    precondition(samples.allSatisfy { $0.form == form })
    self.name = name
    self.form = form
    self.samples = samples
  }

  /// Reads a file.
  ///
  /// - Parameter limit: The most samples; `nil` for all.
  /// - Throws: `RecordError` with file, line and what to write instead.
  public init(path: String, limit: Int? = nil) throws(RecordError) {
    let reader = try RecordReader(path: path)
    var samples: [TaskSample] = []
    while samples.count < limit ?? .max, let sample = try Self.next(reader) {
      if let first = samples.first, first.form != sample.form {
        throw RecordError(
          file: path, line: reader.line,
          "a \(sample.form.rawValue) sample among \(first.form.rawValue) ones; "
            + "give each kind of task its own file")
      }
      samples.append(sample)
    }
    guard let first = samples.first else {
      throw RecordError(file: path, "the file has no samples; remove it from the list or fill it")
    }
    self.init(name: TokenStream.domain(of: path), form: first.form, samples: samples)
  }

  private static func next(_ reader: RecordReader) throws(RecordError) -> TaskSample? {
    if reader.isText {
      guard case .text(let text)? = try reader.next() else { return nil }
      return .text(text)
    }
    guard let json = try reader.nextJSON() else { return nil }
    do {
      return try TaskSample(json: json)
    } catch {
      throw RecordError(file: reader.path, line: reader.line, error.text)
    }
  }
}
