/// Why a configuration file cannot be used.
public struct ConfigurationError: Error, Equatable, Sendable {
  /// What is wrong.
  public enum Reason: Equatable, Sendable {
    /// The file could not be read or written.
    case file(FileError)
    /// The file is not JSON.
    case json(JSONError)
    /// The document is not an object.
    case notAnObject(found: String)
    /// A key that must be there is absent.
    case missing(key: String, expected: String, nearest: String?)
    /// A key holds something else than it should.
    case mismatch(key: String, expected: String, found: String)
  }

  /// The file, followed by the section in it.
  public let path: String
  /// What is wrong.
  public let reason: Reason

  init(_ path: String, _ reason: Reason) {
    self.path = path
    self.reason = reason
  }

  /// An error about a key that holds something else than it should.
  ///
  /// - Parameters:
  ///   - path: The file, followed by the section in it.
  ///   - key: The key.
  ///   - expected: What it should hold, as `a positive integer`.
  ///   - found: What is there.
  public init(path: String, key: String, expected: String, found: String) {
    self.init(path, .mismatch(key: key, expected: expected, found: found))
  }
}

extension ConfigurationError: CustomStringConvertible {
  public var description: String {
    switch reason {
    case .file(let error): return error.description
    case .json(let error): return "\(path):\(error)"
    case .notAnObject(let found): return "\(path): found \(found); make it an object of keys"
    case .missing(let key, let expected, let nearest):
      let advice = nearest.map { "did you mean \(quoted($0))?" } ?? "add it"
      return "\(path): \(quoted(key)) is missing and should be \(expected); \(advice)"
    case .mismatch(let key, let expected, let found):
      return "\(path): \(quoted(key)) should be \(expected), found \(found); correct it"
    }
  }
}
