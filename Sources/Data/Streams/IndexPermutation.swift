/// A random permutation of 0..<count, computed element by element: a Feistel network over the next
/// even number of bits, walked along its cycle until the result is in range.
struct IndexPermutation: Sendable {
  let count: Int
  private let halfBits: UInt64
  private let generator: CounterGenerator
  private let stream: UInt64

  init(count: Int, generator: CounterGenerator, stream: UInt64) {
    self.count = count
    self.generator = generator
    self.stream = stream
    var bits: UInt64 = 1
    while count > 1 << (2 * bits) { bits += 1 }
    halfBits = bits
  }

  subscript(index: Int) -> Int {
    precondition((0..<count).contains(index), "index outside the permutation")
    var value = UInt64(index)
    repeat { value = shuffle(value) } while value >= UInt64(count)
    return Int(value)
  }

  private func shuffle(_ value: UInt64) -> UInt64 {
    let mask = (1 << halfBits) - 1 as UInt64
    var (left, right) = (value >> halfBits, value & mask)
    for round in 0..<6 as Range<UInt64> {
      let mixed = generator.bits(stream: stream, index: round << 48 | right)
      (left, right) = (right, (left ^ mixed) & mask)
    }
    return left << halfBits | right
  }
}
