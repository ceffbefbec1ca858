extension Context {
  /// The values of several tensors, gathered on the device and brought over in one transfer: each
  /// transfer of its own would wait for the device once more. Waits for pending work.
  ///
  /// - Parameter tensors: `f32`, `f64` or `i32`.
  /// - Returns: The values of each, in its order.
  public func readDoubles(_ tensors: [Tensor]) -> [[Double]] {
    // Each begins where eight-byte values may.
    var (places, size) = ([Int](), 0)
    for tensor in tensors {
      places.append(size)
      size += (tensor.byteCount + 7) / 8 * 8
    }
    let gathered = empty([size], .u8)
    for (tensor, place) in zip(tensors, places) {
      backend.copy(
        tensor,
        into: Tensor(
          shape: tensor.shape, dtype: tensor.dtype, storage: gathered.storage, byteOffset: place))
    }
    let words = [UInt64](unsafeUninitializedCapacity: size / 8) { buffer, count in
      backend.download(gathered, into: UnsafeMutableRawBufferPointer(buffer))
      count = size / 8
    }
    return words.withUnsafeBytes { bytes in
      zip(tensors, places).map { tensor, place in
        let part = UnsafeRawBufferPointer(rebasing: bytes[place..<place + tensor.byteCount])
        switch tensor.dtype {
        case .f32: return part.bindMemory(to: Float.self).map(Double.init)
        case .f64: return Array(part.bindMemory(to: Double.self))
        case .i32: return part.bindMemory(to: Int32.self).map(Double.init)
        case .bf16, .f16, .u8:
          preconditionFailure("readDoubles: \(tensor.dtype) of \(tensor.shape)")
        }
      }
    }
  }
}
