import CKernels

extension CPUBackend {
  package func rowSums(of x: Tensor, squared: Bool, into sums_R: Tensor) {
    let type = x.dtype.statistic
    let table = kernels(type)
    let columns = x.columns
    pool.forRanges(x.rows, minimum: max(1, parallelGrain / max(1, columns))) { rows in
      withUnsafeTemporaryAllocation(
        byteCount: max(1, x.dtype.isReal ? 0 : columns * 4), alignment: 64
      ) { wide in
        for row in rows {
          var values = UnsafeRawPointer(x.pointer(at: row * columns))
          if let format = x.dtype.half, let base = wide.baseAddress {
            table.widen(format, values.assumingMemoryBound(to: UInt16.self), base, columns)
            values = UnsafeRawPointer(base)
          }
          let sum = squared ? table.sum_of_squares(values, columns) : table.sum(values, columns)
          if type == .f64 {
            sums_R.pointer.assumingMemoryBound(to: Double.self)[row] = sum
          } else {
            sums_R.pointer.assumingMemoryBound(to: Float.self)[row] = Float(sum)
          }
        }
      }
    }
  }

  package func accumulateColumnSums(of x: Tensor, squared: Bool, into sums_C: Tensor) {
    guard x.count > 0 else { return }
    guard x.dtype.isReal else {
      let block = max(1, (1 << 20) / x.columns)
      for start in stride(from: 0, to: x.rows, by: block) {
        let rows = x.slice(start..<min(x.rows, start + block))
        let wide = scratch(rows.shape, .f32)
        cast(rows, into: wide)
        accumulateColumnSums(of: wide, squared: squared, into: sums_C)
      }
      return
    }
    // Each column is summed by one task in the order of rows: the number of threads changes nothing.
    let add = kernels(x.dtype).add_columns
    pool.forRanges(x.columns, minimum: max(16, parallelGrain / x.rows)) { columns in
      add?(
        x.pointer(at: columns.lowerBound), sums_C.doubles + columns.lowerBound, x.rows,
        columns.count, x.columns, squared ? 1 : 0)
    }
  }
}

extension Tensor {
  /// The elements of an `f64` tensor.
  var doubles: UnsafeMutablePointer<Double> { pointer.assumingMemoryBound(to: Double.self) }
}
