/// A metadata value of a GGUF file. The type codes are those of the format's specification,
/// version 3.
public enum GGUFValue: Equatable, Sendable {
  case u32(UInt32)
  case i32(Int32)
  case f32(Float)
  case bool(Bool)
  case string(String)
  case i32s([Int32])
  case f32s([Float])
  case strings([String])

  /// A size or count.
  /// - Throws: ``GGUFError`` when 32 bits do not hold it.
  public static func count(_ value: Int, _ key: String) throws(GGUFError) -> GGUFValue {
    guard let small = UInt32(exactly: value) else {
      throw GGUFError("\(key) \(value) does not fit into the 32 bits GGUF readers expect")
    }
    return .u32(small)
  }

  private enum Code: UInt32 {
    case u32 = 4
    case i32 = 5
    case f32 = 6
    case bool = 7
    case string = 8
    case array = 9
  }

  /// Appends the type code and the value.
  func append(to bytes: inout [UInt8]) {
    switch self {
    case .u32(let value):
      bytes.append(little: Code.u32.rawValue)
      bytes.append(little: value)
    case .i32(let value):
      bytes.append(little: Code.i32.rawValue)
      bytes.append(little: value)
    case .f32(let value):
      bytes.append(little: Code.f32.rawValue)
      bytes.append(little: value.bitPattern)
    case .bool(let value):
      bytes.append(little: Code.bool.rawValue)
      bytes.append(value ? 1 : 0)
    case .string(let value):
      bytes.append(little: Code.string.rawValue)
      bytes.append(counted: value)
    case .i32s(let values):
      Self.begin(.i32, values.count, in: &bytes)
      for value in values { bytes.append(little: value) }
    case .f32s(let values):
      Self.begin(.f32, values.count, in: &bytes)
      for value in values { bytes.append(little: value.bitPattern) }
    case .strings(let values):
      Self.begin(.string, values.count, in: &bytes)
      for value in values { bytes.append(counted: value) }
    }
  }

  private static func begin(_ element: Code, _ count: Int, in bytes: inout [UInt8]) {
    bytes.append(little: Code.array.rawValue)
    bytes.append(little: element.rawValue)
    bytes.append(little: UInt64(count))
  }
}

extension [UInt8] {
  /// Appends an integer, least significant byte first.
  mutating func append(little value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }

  /// Appends a string's length in 64 bits and its UTF-8.
  mutating func append(counted text: String) {
    append(little: UInt64(text.utf8.count))
    append(contentsOf: text.utf8)
  }
}
