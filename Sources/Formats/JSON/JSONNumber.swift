/// A JSON number, kept as it is spelled.
///
/// `1`, `1.0` and `1e0` are three different numbers here: readers of model configurations tell an
/// integer field from a floating-point one by its spelling.
public struct JSONNumber: Equatable, Sendable {
  /// The spelling, always one that RFC 8259 allows.
  public let lexeme: String

  init(uncheckedLexeme lexeme: String) { self.lexeme = lexeme }

  /// A number spelled `lexeme`, or `nil` when RFC 8259 does not allow that spelling.
  public init?(lexeme: String) {
    let text = lexeme
    let matched = text.utf8.withContiguousStorageIfAvailable { bytes in
      numberLength(UnsafeRawBufferPointer(bytes), from: 0) == bytes.count
    }
    guard matched == true, !lexeme.isEmpty else { return nil }
    self.lexeme = lexeme
  }

  /// An integer, spelled without decimal point or exponent.
  public init(_ value: Int) { lexeme = String(value) }

  /// The shortest spelling that reads back as `value`, always with a decimal point or an exponent.
  ///
  /// - Precondition: `value` is finite. `JSON.init(_: Double)` turns other values into `null`.
  public init(_ value: Double) {
    precondition(value.isFinite, "JSON has no spelling for \(value); write null instead")
    lexeme = value.description
  }

  /// Whether the spelling has neither decimal point nor exponent.
  public var isInteger: Bool {
    !lexeme.utf8.contains { $0 == UInt8(ascii: ".") || $0 | 0x20 == UInt8(ascii: "e") }
  }

  /// The value, or `nil` when the spelling is not an integer or does not fit `Int`.
  public var int: Int? { Int(lexeme) }

  /// The nearest `Double`, or `nil` when the number is beyond its finite range, as `1e400`.
  public var double: Double? {
    guard let value = Double(lexeme), value.isFinite else { return nil }
    return value
  }
}

/// The length of the RFC 8259 number that begins at `start`, or 0 when none does.
func numberLength(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
  var index = start
  let end = bytes.count
  func digitsEnd(_ from: Int) -> Int {
    var index = from
    while index < end, bytes[index] &- 0x30 < 10 { index += 1 }
    return index
  }
  if index < end, bytes[index] == UInt8(ascii: "-") { index += 1 }
  guard index < end else { return 0 }
  if bytes[index] == UInt8(ascii: "0") {
    index += 1
  } else {
    let stop = digitsEnd(index)
    guard stop > index else { return 0 }
    index = stop
  }
  if index < end, bytes[index] == UInt8(ascii: ".") {
    let stop = digitsEnd(index + 1)
    guard stop > index + 1 else { return 0 }
    index = stop
  }
  if index < end, bytes[index] | 0x20 == UInt8(ascii: "e") {
    index += 1
    if index < end, bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-") {
      index += 1
    }
    let stop = digitsEnd(index)
    guard stop > index else { return 0 }
    index = stop
  }
  return index - start
}
