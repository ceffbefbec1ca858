/// Random numbers as a function of seed and counter: Philox4x32-10 (Salmon, Moraes, Dror and Shaw,
/// "Parallel Random Numbers: As Easy as 1, 2, 3", 2011).
///
/// A draw needs no earlier draw, so nothing has to be saved to go on where a run stopped.
public struct CounterGenerator: Sendable {
  private let key: (UInt32, UInt32)

  /// A generator whose every draw depends on `seed`.
  public init(seed: UInt64) {
    key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
  }

  /// The four words of one counter.
  func block(_ counter: SIMD4<UInt32>) -> SIMD4<UInt32> {
    var state = counter
    var (low, high) = key
    for _ in 0..<10 {
      let first = UInt64(0xD251_1F53) * UInt64(state[0])
      let second = UInt64(0xCD9E_8D57) * UInt64(state[2])
      state = SIMD4(
        UInt32(second >> 32) ^ state[1] ^ low, UInt32(truncatingIfNeeded: second),
        UInt32(first >> 32) ^ state[3] ^ high, UInt32(truncatingIfNeeded: first))
      low &+= 0x9E37_79B9
      high &+= 0xBB67_AE85
    }
    return state
  }

  /// 64 random bits.
  ///
  /// - Parameters:
  ///   - stream: keeps uses of one seed apart.
  ///   - index: the counter.
  public func bits(stream: UInt64, index: UInt64) -> UInt64 {
    let words = block(
      SIMD4(
        UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32),
        UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32)))
    return UInt64(words[1]) << 32 | UInt64(words[0])
  }

  /// A number from 0 up to `bound`, which is positive; the bias is below bound / 2⁶⁴.
  public func integer(below bound: Int, stream: UInt64, index: UInt64) -> Int {
    Int(bits(stream: stream, index: index).multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// A number in [0, 1) with 53 random bits.
  public func unit(stream: UInt64, index: UInt64) -> Double {
    Double(bits(stream: stream, index: index) >> 11) * 0x1p-53
  }
}
