import CKernels

extension CPUBackend {
  package func largest(_ x_RV: Tensor, into index_R: Tensor) {
    let columns = x_RV.columns
    guard let argMax = kernels(x_RV.dtype).arg_max else { return }
    for row in 0..<x_RV.rows {
      let x = x_RV.pointer(at: row * columns)
      let index = argMax(x, columns)
      let isOrdered =
        x_RV.dtype == .f64
        ? isOrdered(x.assumingMemoryBound(to: Double.self), columns, index)
        : isOrdered(x.assumingMemoryBound(to: Float.self), columns, index)
      index_R.integers[row] = isOrdered ? Int32(index) : -1
    }
  }

  /// Whether all values are numbers and the one at `index` is finite.
  private func isOrdered<Value: BinaryFloatingPoint>(
    _ x: UnsafePointer<Value>, _ count: Int, _ index: Int
  ) -> Bool {
    guard x[index].isFinite else { return false }
    // Values of -∞ are allowed: they only make the look for what is not a number slower.
    let bytes = UnsafeRawBufferPointer(start: x, count: count * MemoryLayout<Value>.size)
    return firstNonFinite(bytes, Value.self == Double.self ? .f64 : .f32) == nil
      || !(0..<count).contains { x[$0].isNaN }
  }
}
