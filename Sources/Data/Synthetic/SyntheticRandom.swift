/// A counter-based random stream (SplitMix64): the state is a counter, the output a mix of it.
///
/// Equal coordinates give equal streams on every machine and Swift version; nothing here depends
/// on the standard library's sampling algorithms, which may change between releases.
struct SyntheticRandom: Sendable {
  private var counter: UInt64

  /// A stream named by its coordinates, such as seed, domain, index and attempt.
  init(_ coordinates: UInt64...) {
    counter = 0
    for coordinate in coordinates {
      counter = Self.mix(counter &+ Self.increment) ^ Self.mix(coordinate &+ Self.increment)
    }
  }

  private static let increment: UInt64 = 0x9E37_79B9_7F4A_7C15

  /// The SplitMix64 finaliser, a bijection of 64 bits.
  static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// The next 64 bits.
  mutating func next() -> UInt64 {
    counter &+= Self.increment
    return Self.mix(counter)
  }

  /// An integer in the range; the bias of the multiply-shift is below 2⁻⁵⁰ for the ranges used.
  mutating func int(_ range: ClosedRange<Int>) -> Int {
    let width = UInt64(range.upperBound - range.lowerBound + 1)
    return range.lowerBound + Int(next().multipliedFullWidth(by: width).high)
  }

  /// A fair coin.
  mutating func coin() -> Bool { next() >> 63 == 1 }

  /// One element; the list must not be empty.
  mutating func pick<Element>(_ choices: [Element]) -> Element {
    choices[int(0...choices.count - 1)]
  }

  /// `count` different elements in random order (a partial Fisher–Yates shuffle).
  mutating func distinct<Element>(_ count: Int, from choices: [Element]) -> [Element] {
    var pool = choices
    for position in 0..<count {
      pool.swapAt(position, int(position...pool.count - 1))
    }
    return Array(pool.prefix(count))
  }

  /// A number of one to `digits` decimal digits, each length equally likely, not zero.
  mutating func number(digits: Int) -> Int {
    switch int(1...digits) {
    case 1: int(1...9)
    case 2: int(10...99)
    default: int(100...999)
    }
  }
}
