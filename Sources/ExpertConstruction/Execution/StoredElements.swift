import Formats

/// Arithmetic on elements as a checkpoint stores them.
enum StoredElements {
  /// Multiplies each element in place, rounding to nearest, ties to even.
  /// - Returns: Whether all products are finite.
  static func multiply(
    _ bytes: UnsafeMutableRawBufferPointer, _ type: ElementType, by factor: Float
  ) -> Bool {
    switch type {
    case .f32:
      for (index, value) in bytes.bindMemory(to: Float.self).enumerated() {
        bytes.bindMemory(to: Float.self)[index] = value * factor
      }
    case .f16:
      let values = bytes.bindMemory(to: Float16.self)
      for index in values.indices { values[index] = Float16(Float(values[index]) * factor) }
    case .bf16:
      let values = bytes.bindMemory(to: UInt16.self)
      for index in values.indices {
        values[index] = bfloat16(Float(bitPattern: UInt32(values[index]) << 16) * factor)
      }
    default: preconditionFailure("no arithmetic on \(type.rawValue)")
    }
    return areFinite(UnsafeRawBufferPointer(bytes), type)
  }

  /// Whether no element is infinite or not a number. Types without such values always pass.
  static func areFinite(_ bytes: UnsafeRawBufferPointer, _ type: ElementType) -> Bool {
    switch type {
    case .bf16: return !hasExponent(0x7f80, bytes.bindMemory(to: UInt16.self))
    case .f16: return !hasExponent(0x7c00, bytes.bindMemory(to: UInt16.self))
    case .f32: return !hasExponent(0x7f80_0000, bytes.bindMemory(to: UInt32.self))
    case .f64: return !hasExponent(0x7ff0_0000_0000_0000, bytes.bindMemory(to: UInt64.self))
    default: return true
    }
  }

  /// The fraction one rounding can change a value by; 0 where `factor` is a power of two.
  static func rounding(of type: ElementType, by factor: Double) -> Double {
    guard factor.significand != 1 else { return 0 }
    return switch type {
    case .bf16: 0x1p-8
    case .f16: 0x1p-11
    default: 0x1p-24
    }
  }

  private static func hasExponent<Bits: FixedWidthInteger>(
    _ mask: Bits, _ values: UnsafeBufferPointer<Bits>
  ) -> Bool {
    var found: Bits = 0
    for value in values { found |= value & mask == mask ? 1 : 0 }
    return found != 0
  }
}
