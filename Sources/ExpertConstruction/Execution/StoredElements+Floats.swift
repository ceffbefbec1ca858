import Formats

extension StoredElements {
  /// Widens stored elements to `f32`, exactly but for F64.
  static func widen(
    _ bytes: UnsafeRawBufferPointer, _ type: ElementType,
    into values: UnsafeMutableBufferPointer<Float>
  ) {
    switch type {
    case .f32:
      for (index, value) in bytes.bindMemory(to: Float.self).enumerated() { values[index] = value }
    case .bf16:
      for (index, bits) in bytes.bindMemory(to: UInt16.self).enumerated() {
        values[index] = Float(bitPattern: UInt32(bits) << 16)
      }
    case .f16:
      for (index, value) in bytes.bindMemory(to: Float16.self).enumerated() {
        values[index] = Float(value)
      }
    case .f64:
      for (index, value) in bytes.bindMemory(to: Double.self).enumerated() {
        values[index] = Float(value)
      }
    default: preconditionFailure("no arithmetic on \(type.rawValue)")
    }
  }

  /// Calls `body` with the place of a block's first element and its elements as `f32`, block after
  /// block.
  static func forEachBlock(
    of bytes: UnsafeRawBufferPointer, _ type: ElementType,
    _ body: (_ start: Int, _ values: UnsafeBufferPointer<Float>) -> Void
  ) {
    let (size, block) = (type.bitWidth / 8, 4096)
    let count = bytes.count / size
    let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: block)
    defer { values.deallocate() }
    for start in stride(from: 0, to: count, by: block) {
      let range = start..<min(count, start + block)
      let target = UnsafeMutableBufferPointer(rebasing: values[..<range.count])
      widen(
        UnsafeRawBufferPointer(
          rebasing: bytes[range.lowerBound * size..<range.upperBound * size]), type, into: target)
      body(start, UnsafeBufferPointer(target))
    }
  }

  /// Rounds `f32` values to BF16, F16 or F32, to nearest, ties to even.
  static func narrow(
    _ values: UnsafeBufferPointer<Float>, to type: ElementType,
    into bytes: UnsafeMutableRawBufferPointer
  ) {
    switch type {
    case .f32:
      let target = bytes.bindMemory(to: Float.self)
      for index in values.indices { target[index] = values[index] }
    case .bf16:
      let target = bytes.bindMemory(to: UInt16.self)
      for index in values.indices { target[index] = bfloat16(values[index]) }
    case .f16:
      let target = bytes.bindMemory(to: Float16.self)
      for index in values.indices { target[index] = Float16(values[index]) }
    default: preconditionFailure("no arithmetic on \(type.rawValue)")
    }
  }

  /// The bits of the nearest BF16 value, ties to even; infinities and zeros come out unchanged.
  static func bfloat16(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    return UInt16((bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16)
  }
}
