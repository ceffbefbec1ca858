import Glibc

extension JSONParser {
  mutating func number() throws(JSONError) -> JSONNumber {
    let length = numberLength(bytes, from: cursor)
    guard length > 0 else { throw error(.malformedNumber) }
    // A digit behind a complete number can only follow a leading zero.
    if cursor + length < bytes.count, bytes[cursor + length] &- 0x30 < 10 {
      throw error(.malformedNumber)
    }
    let lexeme = decode(cursor, cursor + length)
    cursor += length
    return JSONNumber(uncheckedLexeme: lexeme)
  }

  /// Reads a string whose opening quote is at the cursor.
  mutating func string() throws(JSONError) -> String {
    cursor += 1
    let start = cursor
    skipPlainBytes()
    guard cursor < bytes.count else { throw error(.truncated(expected: "a closing `\"`")) }
    guard bytes[cursor] != UInt8(ascii: "\"") else {
      let text = decode(start, cursor)
      guard isFaithful(text, start, cursor) else { throw error(.invalidUTF8, at: start) }
      cursor += 1
      return text
    }
    return try stringWithEscapes(from: start)
  }

  private mutating func stringWithEscapes(from start: Int) throws(JSONError) -> String {
    unescaped.removeAll(keepingCapacity: true)
    unescaped.append(contentsOf: bytes[start..<cursor])
    while true {
      guard cursor < bytes.count else { throw error(.truncated(expected: "a closing `\"`")) }
      switch bytes[cursor] {
      case UInt8(ascii: "\""):
        cursor += 1
        guard let text = String(validating: unescaped, as: UTF8.self) else {
          throw error(.invalidUTF8, at: start)
        }
        return text
      case UInt8(ascii: "\\"):
        try escape()
      case let byte:
        // `skipPlainBytes` stops at quotes, backslashes and control characters only.
        throw error(.controlCharacter(byte))
      }
      let plain = cursor
      skipPlainBytes()
      unescaped.append(contentsOf: bytes[plain..<cursor])
    }
  }

  /// Moves to the next quote, backslash or control character, or to the end.
  private mutating func skipPlainBytes() {
    var index = cursor
    let end = bytes.count
    let ones: UInt64 = 0x0101_0101_0101_0101
    let highs: UInt64 = 0x8080_8080_8080_8080
    while index + 8 <= end {
      let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
      // Zero-byte tests: the high bit of a byte is set where it matches. They may also flag bytes
      // above a match, never bytes below, so any flag means "look at these eight one by one".
      let quotes = word ^ (ones &* 0x22)
      let slashes = word ^ (ones &* 0x5c)
      let flags =
        ((quotes &- ones) & ~quotes) | ((slashes &- ones) & ~slashes)
        | ((word &- ones &* 0x20) & ~word)
      if flags & highs != 0 { break }
      index += 8
    }
    while index < end {
      let byte = bytes[index]
      if byte == 0x22 || byte == 0x5c || byte < 0x20 { break }
      index += 1
    }
    cursor = index
  }

  private func decode(_ start: Int, _ end: Int) -> String {
    // The standard library's fast path wants bound bytes, not raw ones.
    bytes.withMemoryRebound(to: UInt8.self) {
      String(decoding: UnsafeBufferPointer(rebasing: $0[start..<end]), as: UTF8.self)
    }
  }

  /// Whether decoding replaced nothing: it replaces what is not UTF-8.
  private func isFaithful(_ text: String, _ start: Int, _ end: Int) -> Bool {
    guard text.utf8.count == end - start else { return false }
    var text = text
    return text.withUTF8 { decoded in
      guard let source = bytes.baseAddress, let decoded = decoded.baseAddress else { return true }
      return memcmp(source + start, decoded, end - start) == 0
    }
  }

  private mutating func escape() throws(JSONError) {
    let start = cursor
    cursor += 1
    guard cursor < bytes.count else { throw error(.truncated(expected: "an escape")) }
    let byte = bytes[cursor]
    cursor += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): unescaped.append(byte)
    case UInt8(ascii: "b"): unescaped.append(0x08)
    case UInt8(ascii: "f"): unescaped.append(0x0c)
    case UInt8(ascii: "n"): unescaped.append(0x0a)
    case UInt8(ascii: "r"): unescaped.append(0x0d)
    case UInt8(ascii: "t"): unescaped.append(0x09)
    case UInt8(ascii: "u"): try unicodeEscape(from: start)
    default: throw error(.invalidEscape, at: start)
    }
  }

  private mutating func unicodeEscape(from start: Int) throws(JSONError) {
    var code = try hexUnit(start)
    if code & 0xfc00 == 0xd800 {
      guard cursor + 1 < bytes.count, bytes[cursor] == UInt8(ascii: "\\"),
        bytes[cursor + 1] == UInt8(ascii: "u")
      else { throw error(.loneSurrogate, at: start) }
      cursor += 2
      let low = try hexUnit(start)
      guard low & 0xfc00 == 0xdc00 else { throw error(.loneSurrogate, at: start) }
      code = 0x10000 + (code & 0x3ff) << 10 + low & 0x3ff
    }
    guard let scalar = Unicode.Scalar(code) else { throw error(.loneSurrogate, at: start) }
    unescaped.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
  }

  private mutating func hexUnit(_ start: Int) throws(JSONError) -> UInt32 {
    guard cursor + 4 <= bytes.count else { throw error(.invalidEscape, at: start) }
    var code: UInt32 = 0
    for byte in bytes[cursor..<cursor + 4] {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): code = code << 4 | UInt32(byte & 0x0f)
      case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"):
        code = code << 4 | UInt32(byte & 0x0f + 9)
      default: throw error(.invalidEscape, at: start)
      }
    }
    cursor += 4
    return code
  }
}
