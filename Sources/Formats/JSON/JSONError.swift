/// Why bytes are not an acceptable JSON document, and where.
public struct JSONError: Error, Equatable, Sendable {
  /// What is wrong.
  public enum Reason: Equatable, Sendable {
    /// Something else stands where `expected` should.
    case unexpected(found: String, expected: String)
    /// The document ends inside a value.
    case truncated(expected: String)
    /// A number is not spelled as RFC 8259 wants.
    case malformedNumber
    /// A string holds an unescaped control character.
    case controlCharacter(UInt8)
    /// A string is not UTF-8.
    case invalidUTF8
    /// A backslash is followed by something that is no escape.
    case invalidEscape
    /// A `\u` escape names one half of a surrogate pair.
    case loneSurrogate
    /// A key occurs twice in one object.
    case duplicateKey(String)
    /// There is something behind the document.
    case trailingContent
    /// The document begins with a byte order mark.
    case byteOrderMark
    /// The document has more bytes than allowed.
    case tooLarge(bytes: Int, limit: Int)
    /// Values are nested deeper than allowed.
    case tooDeep(limit: Int)
    /// The document has more values than allowed.
    case tooManyValues(limit: Int)
  }

  /// What is wrong.
  public let reason: Reason
  /// The offset of the offending byte.
  public let offset: Int
  /// The line of the offending byte, from 1.
  public let line: Int
  /// The column of the offending byte, counted in bytes from 1.
  public let column: Int

  init(_ reason: Reason, at offset: Int, in bytes: UnsafeRawBufferPointer) {
    self.reason = reason
    self.offset = offset
    let before = bytes.prefix(offset)
    line = before.reduce(1) { $1 == 0x0a ? $0 + 1 : $0 }
    column = offset - (before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0) + 1
  }
}

extension JSONError: CustomStringConvertible {
  public var description: String { "\(line):\(column): \(reason)" }
}

extension JSONError.Reason: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unexpected(let found, let expected):
      "found \(found) where \(expected) was expected; write \(expected) here"
    case .truncated(let expected):
      "the document ends where \(expected) was expected; the file is cut short, fetch it again"
    case .malformedNumber:
      "malformed number; write digits with an optional fraction and exponent, as -1.5e3"
    case .controlCharacter(let byte):
      "control character \(byte) inside a string; escape it with \\u"
    case .invalidUTF8: "a string is not valid UTF-8; save the file as UTF-8"
    case .invalidEscape:
      "unknown escape; use one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\u with four hex digits"
    case .loneSurrogate:
      "half a surrogate pair; write both halves as \\uD8xx\\uDCxx, or the character itself"
    case .duplicateKey(let key):
      "key \(quoted(key)) occurs twice in one object; remove one of the two"
    case .trailingContent: "more content behind the document; remove it"
    case .byteOrderMark: "byte order mark at the start; save the file as UTF-8 without it"
    case .tooLarge(let bytes, let limit):
      "document of \(bytes) bytes is larger than the limit of \(limit); raise the limit if trusted"
    case .tooDeep(let limit):
      "values nested deeper than the limit of \(limit) levels; flatten the document"
    case .tooManyValues(let limit):
      "more values than the limit of \(limit); raise the limit if the file is trusted"
    }
  }
}

/// `text` in quotes and on one line, cut when long: error messages hold hostile input.
func quoted(_ text: String) -> String {
  let limit = 120
  var result = "\""
  for (count, scalar) in text.unicodeScalars.enumerated() {
    guard count < limit else { return result + "…\"" }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse:
      result += "\\u{\(String(scalar.value, radix: 16))}"
    default:
      result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
