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
    let kernel = kernels(x.dtype).rms_norm_backward
    let columns = x.columns
    inParts(of: x, grain: parallelGrain, addingTo: dWeight) { rows, sum in
      let offset = rows.lowerBound * columns
      kernel?(
        dy.pointer(at: offset), x.pointer(at: offset), weight.pointer,
        reciprocal.pointer(at: rows.lowerBound), dx?.0.pointer(at: offset), sum, rows.count,
        columns, dx?.accumulate == true ? 1 : 0)
    }
  }
}
