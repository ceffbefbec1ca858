/// Why a corpus could not be read: where, what, and how to fix it.
public struct RecordError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The path of the corpus file.
  public let file: String
  /// Counted from 1; `nil` when the file as a whole is at fault.
  public let line: Int?
  /// What is wrong and how to fix it.
  public let problem: String

  init(file: String, line: Int? = nil, _ problem: String) {
    self.file = file
    self.line = line
    self.problem = problem
  }

  public var description: String {
    if let line { "\(file):\(line): \(problem)" } else { "\(file): \(problem)" }
  }
}
