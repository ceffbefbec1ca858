extension JSON {
  /// The document as text, without a newline at the end.
  ///
  /// - Parameters:
  ///   - indent: Spaces per level, one member or element a line; `nil` writes one line without
  ///     spaces. Hugging Face files use 2.
  ///   - sortedKeys: Orders the members of every object by the bytes of their keys.
  ///   - escapingNonASCII: Writes characters beyond ASCII as `\u` escapes, as Python does unless
  ///     told otherwise.
  public func serialized(
    indent: Int? = nil, sortedKeys: Bool = false, escapingNonASCII: Bool = false
  ) -> String {
    var writer = JSONWriter(
      indent: indent, sortedKeys: sortedKeys, escapingNonASCII: escapingNonASCII)
    writer.write(self, level: 0)
    return String(decoding: writer.output, as: UTF8.self)
  }
}

private struct JSONWriter {
  let indent: Int?
  let sortedKeys: Bool
  let escapingNonASCII: Bool
  var output: [UInt8] = []

  init(indent: Int?, sortedKeys: Bool, escapingNonASCII: Bool) {
    self.indent = indent
    self.sortedKeys = sortedKeys
    self.escapingNonASCII = escapingNonASCII
  }

  mutating func write(_ value: JSON, level: Int) {
    switch value {
    case .null: output += "null".utf8
    case .bool(let value): output += (value ? "true" : "false").utf8
    case .number(let number): output += number.lexeme.utf8
    case .string(let text): write(text)
    case .array(let elements):
      write(elements, "[", "]", level) { writer, element in
        writer.write(element, level: level + 1)
      }
    case .object(let object):
      let members =
        sortedKeys
        ? object.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) } : Array(object)
      write(members, "{", "}", level) { writer, member in
        writer.write(member.key)
        writer.output += (writer.indent == nil ? ":" : ": ").utf8
        writer.write(member.value, level: level + 1)
      }
    }
  }

  private mutating func write<Item>(
    _ items: [Item], _ open: Unicode.Scalar, _ close: Unicode.Scalar, _ level: Int,
    body: (inout JSONWriter, Item) -> Void
  ) {
    output.append(UInt8(ascii: open))
    for (position, item) in items.enumerated() {
      if position > 0 { output.append(UInt8(ascii: ",")) }
      newLine(level + 1)
      body(&self, item)
    }
    if !items.isEmpty { newLine(level) }
    output.append(UInt8(ascii: close))
  }

  private mutating func newLine(_ level: Int) {
    guard let indent else { return }
    output.append(0x0a)
    output.append(contentsOf: repeatElement(0x20, count: indent * level))
  }

  private mutating func write(_ text: String) {
    output.append(0x22)
    if escapingNonASCII {
      for unit in text.utf16 {
        if unit < 0x80 { write(ascii: UInt8(unit)) } else { writeEscape(unit) }
      }
    } else {
      for byte in text.utf8 {
        if byte < 0x80 { write(ascii: byte) } else { output.append(byte) }
      }
    }
    output.append(0x22)
  }

  private mutating func write(ascii byte: UInt8) {
    switch byte {
    case 0x22: output += "\\\"".utf8
    case 0x5c: output += "\\\\".utf8
    case 0x08: output += "\\b".utf8
    case 0x0c: output += "\\f".utf8
    case 0x0a: output += "\\n".utf8
    case 0x0d: output += "\\r".utf8
    case 0x09: output += "\\t".utf8
    case 0..<0x20: writeEscape(UInt16(byte))
    default: output.append(byte)
    }
  }

  private mutating func writeEscape(_ unit: UInt16) {
    let digits = String(unit, radix: 16)
    output += "\\u".utf8
    output.append(contentsOf: repeatElement(0x30, count: 4 - digits.utf8.count))
    output += digits.utf8
  }
}
