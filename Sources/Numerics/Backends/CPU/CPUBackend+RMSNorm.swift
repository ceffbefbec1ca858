import CKernels

extension CPUBackend {
  package func rmsNormForward(
    _ x: Tensor, weight: Tensor, epsilon: Double, into y: Tensor, reciprocal: Tensor
  ) {
    let kernel = kernels(x.dtype).rms_norm_forward
    let columns = x.columns
    pool.forRanges(x.rows, minimum: max(1, parallelGrain / columns)) { rows in
      let i = rows.lowerBound
      kernel?(
        x.pointer(at: i * columns), weight.pointer, y.pointer(at: i * columns),
        reciprocal.pointer(at: i), rows.count, columns, epsilon)
    }
  }

  package func rmsNormBackward(
    _ dy: Tensor, _ x: Tensor, weight: Tensor, reciprocal: Tensor, dx: (Tensor, accumulate: Bool)?,
    dWeight: Tensor?
  ) {
    let table = kernels(x.dtype)
    let columns = x.columns
    // Each range sums the gain's gradient into its own row; the rows are added in order.
    let parts = max(1, min(pool.threads * 2, x.rows * columns / parallelGrain))
    let partial = scratch([parts, columns], x.dtype)
    fillZero(partial)
    pool.run(parts) { part in
      let start = x.rows * part / parts
      let end = x.rows * (part + 1) / parts
      let offset = start * columns
      table.rms_norm_backward(
        dy.pointer(at: offset), x.pointer(at: offset), weight.pointer,
        reciprocal.pointer(at: start), dx?.0.pointer(at: offset),
        dWeight == nil ? nil : partial.pointer(at: part * columns), end - start, columns,
        dx?.accumulate == true ? 1 : 0)
    }
    guard let dWeight else { return }
    for part in 0..<parts {
      table.add(dWeight.pointer, partial.pointer(at: part * columns), dWeight.pointer, columns)
    }
  }
}
