/// Why a tokenizer could not be loaded.
public enum TokenizerError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A file could not be read or is not JSON.
  case unreadable(path: String, reason: String)
  /// A field of tokenizer.json holds something the format does not allow.
  case malformed(field: String, problem: String)
  /// A field is valid but asks for something this implementation does not do.
  case unsupported(field: String, value: String, supported: String)

  public var description: String {
    switch self {
    case .unreadable(let path, let reason):
      "\(path): \(reason)"
    case .malformed(let field, let problem):
      "tokenizer.json: \(field): \(problem); restore the file from the original checkpoint"
    case .unsupported(let field, let value, let supported):
      "tokenizer.json: \(field): \(value.oneLine) is not supported; supported: \(supported)"
    }
  }
}

extension String {
  /// The text cut to a length that fits one line of an error, with control characters escaped.
  var oneLine: String {
    let shown = unicodeScalars.prefix(300).map { $0.escaped(asASCII: false) }.joined()
    return unicodeScalars.count > 300 ? shown + "…" : shown
  }
}
