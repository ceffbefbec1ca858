extension Context {
  /// Runs `body` on a tensor over `bytes`: the caller's memory itself where the device can reach it,
  /// else a copy.
  ///
  /// The tensor must not outlive `body`.
  package func withBorrowed<Result>(
    _ bytes: UnsafeRawBufferPointer, _ shape: [Int], _ dtype: DType,
    _ body: (Tensor) throws -> Result
  ) rethrows -> Result {
    guard backend is CPUBackend, let base = bytes.baseAddress else {
      return try body(tensor(bytes: bytes, shape, dtype))
    }
    precondition(bytes.count == shape.reduce(1, *) * dtype.byteCount, "\(shape) \(dtype)")
    let storage = Storage(
      address: UInt(bitPattern: base), byteCount: bytes.count, owner: CallersMemory())
    return try body(Tensor(shape: shape, dtype: dtype, storage: storage))
  }

  /// Overwrites rows `rows` of a matrix with `values`, converted to its element type.
  package func write(_ values: [Float], toRows rows: Range<Int>, of tensor: Tensor) {
    let target = tensor.slice(rows)
    precondition(values.count == target.count, "\(values.count) values for \(target.shape)")
    backend.upload(values, into: target)
  }
}

/// Memory that stays the caller's.
private final class CallersMemory: StorageAllocator {
  func allocate(byteCount: Int, for purpose: @autoclosure () -> String) -> Storage {
    fatalError("borrowed memory cannot grow")
  }
  func release(address: UInt, byteCount: Int) {}
}
