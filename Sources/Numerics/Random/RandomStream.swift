/// A seeded stream of random numbers (SplitMix64; Steele, Lea and Flood 2014). Equal seeds and
/// purposes give equal streams on every machine.
public struct RandomStream: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// A stream for `seed`; `purpose` separates streams that share a seed.
  public init(seed: UInt64, purpose: UInt64 = 0) {
    state = seed
    let mixed = next() ^ purpose &* 0xd134_2543_de82_ef95
    state = mixed
  }

  /// A stream from its state as it is.
  package init(state: UInt64) { self.state = state }

  public mutating func next() -> UInt64 {
    state &+= Self.increment
    return Self.mix(state)
  }

  /// Draw `index`, counted from 0, of the stream whose state is `seed`: what needs no earlier draw.
  package static func draw(_ index: Int, seed: UInt64) -> UInt64 {
    mix(seed &+ (UInt64(index) &+ 1) &* increment)
  }

  private static let increment: UInt64 = 0x9e37_79b9_7f4a_7c15

  private static func mix(_ state: UInt64) -> UInt64 {
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// Uniform in [0, 1).
  public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// `count` values uniform in `range`.
  public mutating func uniform(_ count: Int, in range: ClosedRange<Float>) -> [Float] {
    (0..<count).map { _ in
      range.lowerBound + Float(uniform()) * (range.upperBound - range.lowerBound)
    }
  }
}
