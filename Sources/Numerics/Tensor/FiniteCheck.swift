import CKernels

/// The index of the first NaN or infinity among stored elements, or `nil`.
public func firstNonFinite(_ bytes: UnsafeRawBufferPointer, _ dtype: DType) -> Int? {
  guard let base = bytes.baseAddress else { return nil }
  let count = bytes.count / dtype.byteCount
  let index =
    switch dtype {
    case .bf16: hk_first_nonfinite_bf16(base.assumingMemoryBound(to: UInt16.self), count)
    case .f16: hk_first_nonfinite_f16(base.assumingMemoryBound(to: UInt16.self), count)
    case .f32: hk_first_nonfinite_f32(base.assumingMemoryBound(to: UInt32.self), count)
    case .f64: hk_first_nonfinite_f64(base.assumingMemoryBound(to: UInt64.self), count)
    case .i32, .u8: -1
    }
  return index < 0 ? nil : index
}
