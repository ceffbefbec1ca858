/// The byte-level alphabet of GPT-2: every byte has a printable character.
///
/// Printable Latin-1 bytes stand for themselves, the other 68 take the characters from U+0100 on.
enum ByteAlphabet {
  /// The character of each byte.
  static let characters: [Unicode.Scalar] = {
    var table: [Unicode.Scalar] = []
    var next: UInt32 = 0x100
    for byte in UInt8.min...UInt8.max {
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF:
        table.append(Unicode.Scalar(byte))
      default:
        table.append(Unicode.Scalar(next) ?? "?")
        next += 1
      }
    }
    return table
  }()

  /// The bytes in the order of their characters, which is the order of their token ids.
  static let order: [UInt8] = (UInt8.min...UInt8.max).sorted {
    characters[Int($0)] < characters[Int($1)]
  }

  /// A token's bytes as tokenizer files spell them.
  static func spelling(of bytes: [UInt8]) -> String {
    var text = String.UnicodeScalarView()
    for byte in bytes { text.append(characters[Int(byte)]) }
    return String(text)
  }
}
