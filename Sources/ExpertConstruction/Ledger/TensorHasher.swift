import Crypto

/// The SHA-256 of a tensor's bytes, taken chunk by chunk.
struct TensorHasher {
  private var hash = SHA256()

  mutating func update(_ bytes: UnsafeRawBufferPointer) { hash.update(bufferPointer: bytes) }

  /// The digest in hexadecimal.
  func hexadecimal() -> String {
    let digits = Array("0123456789abcdef")
    return String(hash.finalize().flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }
}
