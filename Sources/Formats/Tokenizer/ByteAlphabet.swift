/// The reversible spelling of bytes as printable characters that byte-level vocabularies use:
/// printable Latin-1 stands for itself, the other 68 bytes for U+0100 and up, in order.
public enum ByteAlphabet {
  /// The scalar that stands for each byte.
  static let scalars: [UInt16] = {
    var next: UInt16 = 0x100
    return (0..<256).map { byte in
      if (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE {
        return UInt16(byte)
      }
      defer { next += 1 }
      return next
    }
  }()

  /// The bytes in the order of their characters, which is the order of their ids in vocabularies.
  public static let order: [UInt8] = (UInt8.min...UInt8.max).sorted {
    scalars[Int($0)] < scalars[Int($1)]
  }

  /// The byte each scalar below U+0144 stands for, -1 where there is none.
  private static let bytes: [Int16] = {
    var table = [Int16](repeating: -1, count: 0x144)
    for (byte, scalar) in scalars.enumerated() { table[Int(scalar)] = Int16(byte) }
    return table
  }()

  /// The bytes a token's spelling stands for, or `nil` when a character is not of the alphabet.
  static func decode(_ token: String) -> [UInt8]? {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(token.utf8.count)
    for scalar in token.unicodeScalars {
      guard scalar.value < 0x144, bytes[Int(scalar.value)] >= 0 else { return nil }
      decoded.append(UInt8(bytes[Int(scalar.value)]))
    }
    return decoded
  }

  /// The spelling of bytes as a token.
  public static func encode(_ bytes: some Sequence<UInt8>) -> String {
    var token = ""
    for byte in bytes {
      if let scalar = Unicode.Scalar(scalars[Int(byte)]) { token.unicodeScalars.append(scalar) }
    }
    return token
  }
}
