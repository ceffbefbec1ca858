extension JSON {
  /// Reads one JSON document as RFC 8259 defines it, and nothing behind it but white space.
  ///
  /// Stricter than the grammar: a key may occur once per object, strings must be UTF-8, surrogates
  /// must come in pairs, and `limits` hold.
  public static func parse(
    _ bytes: UnsafeRawBufferPointer, limits: JSONLimits = .default
  ) throws(JSONError) -> JSON {
    var parser = JSONParser(bytes, limits)
    return try parser.document()
  }

  /// Reads one JSON document; see the overload for raw bytes.
  public static func parse(
    _ bytes: [UInt8], limits: JSONLimits = .default
  ) throws(JSONError) -> JSON {
    try bytes.withUnsafeBytes { raw in
      Result { () throws(JSONError) in try parse(raw, limits: limits) }
    }.get()
  }

  /// Reads one JSON document; see the overload for raw bytes.
  public static func parse(
    _ text: String, limits: JSONLimits = .default
  ) throws(JSONError) -> JSON {
    var text = text
    return try text.withUTF8 { utf8 in
      Result { () throws(JSONError) in
        try parse(UnsafeRawBufferPointer(utf8), limits: limits)
      }
    }.get()
  }
}

/// A recursive-descent parser over bytes that outlive it.
struct JSONParser {
  let bytes: UnsafeRawBufferPointer
  let limits: JSONLimits
  var cursor = 0
  private var depth = 0
  private var values = 0
  /// Reused by strings that have escapes.
  var unescaped: [UInt8] = []

  init(_ bytes: UnsafeRawBufferPointer, _ limits: JSONLimits) {
    self.bytes = bytes
    self.limits = limits
  }

  func error(_ reason: JSONError.Reason, at offset: Int? = nil) -> JSONError {
    JSONError(reason, at: offset ?? cursor, in: bytes)
  }

  mutating func document() throws(JSONError) -> JSON {
    guard bytes.count <= limits.maximumBytes else {
      throw JSONError(
        .tooLarge(bytes: bytes.count, limit: limits.maximumBytes), at: 0, in: bytes)
    }
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { throw error(.byteOrderMark) }
    skipWhitespace()
    let value = try value()
    skipWhitespace()
    guard cursor == bytes.count else { throw error(.trailingContent) }
    return value
  }

  private mutating func value() throws(JSONError) -> JSON {
    values += 1
    guard values <= limits.maximumValues else {
      throw error(.tooManyValues(limit: limits.maximumValues))
    }
    guard cursor < bytes.count else { throw error(.truncated(expected: "a value")) }
    switch bytes[cursor] {
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: throw unexpected("a value")
    }
  }

  private mutating func array() throws(JSONError) -> JSON {
    try descend()
    var elements: [JSON] = []
    skipWhitespace()
    if take("]") {
      depth -= 1
      return .array(elements)
    }
    while true {
      elements.append(try value())
      skipWhitespace()
      if take(",") {
        skipWhitespace()
      } else if take("]") {
        depth -= 1
        return .array(elements)
      } else {
        throw unexpected("`,` or `]`")
      }
    }
  }

  private mutating func object() throws(JSONError) -> JSON {
    try descend()
    var members = JSONObject()
    skipWhitespace()
    if take("}") {
      depth -= 1
      return .object(members)
    }
    while true {
      let keyStart = cursor
      guard cursor < bytes.count, bytes[cursor] == UInt8(ascii: "\"") else {
        throw unexpected("a key in double quotes")
      }
      let key = try string()
      skipWhitespace()
      guard take(":") else { throw unexpected("`:`") }
      skipWhitespace()
      guard members.appendIfNew(key, try value()) else {
        throw error(.duplicateKey(key), at: keyStart)
      }
      skipWhitespace()
      if take(",") {
        skipWhitespace()
      } else if take("}") {
        depth -= 1
        return .object(members)
      } else {
        throw unexpected("`,` or `}`")
      }
    }
  }

  private mutating func descend() throws(JSONError) {
    depth += 1
    guard depth <= limits.maximumDepth else { throw error(.tooDeep(limit: limits.maximumDepth)) }
    cursor += 1
  }

  private mutating func take(_ byte: Unicode.Scalar) -> Bool {
    guard cursor < bytes.count, bytes[cursor] == UInt8(ascii: byte) else { return false }
    cursor += 1
    return true
  }

  private mutating func skipWhitespace() {
    while cursor < bytes.count {
      switch bytes[cursor] {
      case 0x20, 0x09, 0x0a, 0x0d: cursor += 1
      default: return
      }
    }
  }

  private mutating func word(_ word: StaticString, _ value: JSON) throws(JSONError) -> JSON {
    let spelling = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
    for byte in spelling {
      guard cursor < bytes.count, bytes[cursor] == byte else { throw unexpected("`\(word)`") }
      cursor += 1
    }
    return value
  }

  private func unexpected(_ expected: String) -> JSONError {
    guard cursor < bytes.count else { return error(.truncated(expected: expected)) }
    let byte = bytes[cursor]
    let found =
      (0x21...0x7e).contains(byte)
      ? "`\(Unicode.Scalar(byte))`" : "byte 0x\(String(byte, radix: 16))"
    return error(.unexpected(found: found, expected: expected))
  }
}
