import Formats

/// Eight-bit blocks as ggml's Q8_0 has them: 32 values share a step d = max|x| / 127, stored as
/// `f16`; a value is stored as round(x / d), ties away from zero.
///
/// A value comes back within d/2 + 127·|d − f16(d)|, that is within 0.57·d where d is a normal `f16`.
enum BlockQuantizer {
  /// Values of a block.
  static let length = 32
  /// Bytes of a block: the step, then one byte a value.
  static let bytes = 34

  /// Quantises whole blocks.
  /// - Returns: Whether every step is a finite `f16`.
  static func quantize(
    _ values: UnsafeBufferPointer<Float>, into target: UnsafeMutableRawBufferPointer
  ) -> Bool {
    precondition(values.count % length == 0 && target.count == values.count / length * bytes)
    var isFinite = true
    for block in 0..<values.count / length {
      let start = block * length
      var largest: Float = 0
      for index in start..<start + length { largest = max(largest, abs(values[index])) }
      let step = largest / 127
      let stored = Float16(step)
      isFinite = isFinite && stored.isFinite
      // Small blocks whose step is no f32 reciprocal are all zeros.
      let inverse = step > 0 && (1 / step).isFinite ? 1 / step : 0
      target.storeBytes(
        of: stored.bitPattern.littleEndian, toByteOffset: block * bytes, as: UInt16.self)
      for index in 0..<length {
        let scaled = (values[start + index] * inverse).rounded(.toNearestOrAwayFromZero)
        target[block * bytes + 2 + index] = UInt8(bitPattern: Int8(max(-127, min(127, scaled))))
      }
    }
    return isFinite
  }

  /// The values of whole blocks.
  static func values(_ blocks: UnsafeRawBufferPointer) -> [Float] {
    (0..<blocks.count / bytes).flatMap { block in
      let bits = blocks.loadUnaligned(fromByteOffset: block * bytes, as: UInt16.self)
      let step = Float(Float16(bitPattern: UInt16(littleEndian: bits)))
      return (0..<length).map { step * Float(Int8(bitPattern: blocks[block * bytes + 2 + $0])) }
    }
  }
}
