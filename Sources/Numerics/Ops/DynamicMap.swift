/// The 256 values of 8-bit dynamic quantisation (Dettmers 2015, "8-Bit Approximations for
/// Parallelism in Deep Learning"; Dettmers et al. 2022, section 1.3).
///
/// A code is a rank in the sorted values. Behind the sign, leading zeros of the bits count decades
/// downwards, the first one ends them, and what is left is a linear fraction: decade `e` covers
/// `[10⁻ᵉ⁻¹, 10⁻ᵉ]` with the midpoints of `2ᵇ⁻ᵉ` equal bins. With a sign `b` is 6; without, 7: the
/// sign's bit goes to the fraction. There are 7 decades; zero and one, which the largest value of a
/// block is divided to, have codes of their own.
package struct DynamicMap: Sendable {
  /// Decades of the map; `adamw_8bit.cu` and `adamw_8bit.h` have the same.
  package static let decades = 7
  /// The largest value of a block below which all of it counts as zero: its reciprocal is finite.
  package static let smallestScale: Float = 0x1p-120

  /// Values with sign: code 127 is 0, codes below are negative, 255 is 1.
  package static let signed = DynamicMap(fractionBits: 6)
  /// Values without: code 0 is 0, 255 is 1.
  package static let unsigned = DynamicMap(fractionBits: 7)

  /// Absolute values in rising order, from 0 to 1: 129 with sign, 256 without.
  package let magnitudes: [Float]
  private let zero: Int

  private init(fractionBits: Int) {
    var magnitudes: [Float] = [0]
    for decade in (0..<Self.decades).reversed() {
      let bins = 1 << (fractionBits - decade)
      // As the GPU's table does it, operation for operation: bits must be equal.
      let power = [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6][decade]
      for bin in 0..<bins {
        let fraction = (Double(bin) + 0.5) / Double(bins)
        magnitudes.append(Float((0.1 + 0.9 * fraction) * power))
      }
    }
    magnitudes.append(1)
    self.magnitudes = magnitudes
    zero = 256 - magnitudes.count
  }

  /// The value of a code, within `-1 ... 1`.
  package subscript(code: UInt8) -> Float {
    let rank = Int(code) - zero
    return rank >= 0 ? magnitudes[rank] : -magnitudes[-rank]
  }
}
