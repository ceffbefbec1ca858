/// A 64-bit checksum of bytes: tells a torn or damaged tensor from a whole one, no defence against
/// forgery. Each 8-byte word goes through an invertible mix, so no change of one word is missed.
package struct Checksum {
  private var state: UInt64 = 0x9e37_79b9_7f4a_7c15

  /// The checksum of `bytes`.
  package static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var sum = Checksum()
    let words = bytes.count / 8
    for word in 0..<words {
      sum.add(bytes.loadUnaligned(fromByteOffset: word * 8, as: UInt64.self))
    }
    for byte in bytes[(words * 8)...] { sum.add(UInt64(byte)) }
    sum.add(UInt64(bytes.count))
    return sum.state ^ sum.state >> 32
  }

  /// The checksum of a text's UTF-8.
  package static func of(_ text: String) -> UInt64 {
    Array(text.utf8).withUnsafeBytes { of($0) }
  }

  private mutating func add(_ word: UInt64) {
    state = (state ^ word) &* 0x9fb2_1c65_1e98_df25
    state ^= state >> 29
  }
}

extension UInt64 {
  /// 16 hexadecimal digits.
  package var hexadecimal: String {
    let digits = String(self, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
