/// Seeded hashing of short byte strings and of pairs of token ids, for the tables of this folder.
///
/// The seed is drawn per table, so a file cannot be written to make its keys collide; no result
/// depends on it.
struct ByteHash: Sendable {
  private let seed: UInt64

  init() {
    seed = .random(in: .min ... .max)
  }

  @inline(__always)
  func callAsFunction(_ value: UInt64) -> UInt64 {
    let product = (value ^ seed).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
    return product.high ^ product.low
  }

  @inline(__always)
  func callAsFunction(_ first: UInt64, _ second: UInt64) -> UInt64 {
    self(self(first) ^ second)
  }

  func callAsFunction(_ bytes: UnsafePointer<UInt8>, count: Int) -> UInt64 {
    let raw = UnsafeRawPointer(bytes)
    var hash = self(UInt64(count))
    var offset = 0
    while offset + 8 <= count {
      hash = self(hash ^ raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      offset += 8
    }
    if offset < count { hash = self(hash ^ Self.pack(bytes + offset, count: count - offset)) }
    return hash
  }

  /// Up to eight bytes as one word, zero above; reads nothing behind the last byte.
  @inline(__always)
  static func pack(_ bytes: UnsafePointer<UInt8>, count: Int) -> UInt64 {
    let raw = UnsafeRawPointer(bytes)
    if count >= 8 { return raw.loadUnaligned(as: UInt64.self) }
    if count >= 4 {
      let low = UInt64(raw.loadUnaligned(as: UInt32.self))
      let high = UInt64(raw.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self))
      return low | high << UInt64(8 * (count - 4))
    }
    var word: UInt64 = 0
    for index in 0..<count { word |= UInt64(bytes[index]) << UInt64(8 * index) }
    return word
  }
}
