import CKernels

extension CPUBackend {
  package func lrpeForward(
    _ x: Tensor, theta: Tensor, positions: Tensor, heads: Int, into y: Tensor
  ) {
    let kernel = kernels(x.dtype).lrpe_forward
    let columns = x.columns
    pool.forRanges(x.rows, minimum: max(1, parallelGrain / 16 / max(1, columns))) { rows in
      let i = rows.lowerBound
      kernel?(
        x.pointer(at: i * columns), theta.pointer, positions.integers + i,
        y.pointer(at: i * 2 * columns), rows.count, heads, columns / heads, theta.rows)
    }
  }

  package func lrpeBackward(
    _ dy: Tensor, _ x: Tensor, theta: Tensor, positions: Tensor, heads: Int, dx: Tensor?,
    dTheta: Tensor?
  ) {
    let kernel = kernels(x.dtype).lrpe_backward
    let columns = x.columns
    if let dTheta { fillZero(dTheta) }
    inParts(of: x, grain: parallelGrain / 16, addingTo: dTheta) { rows, sum in
      let i = rows.lowerBound
      kernel?(
        dy.pointer(at: i * 2 * columns), x.pointer(at: i * columns), theta.pointer,
        positions.integers + i, dx?.pointer(at: i * columns), sum, rows.count, heads,
        columns / heads, theta.rows)
    }
  }
}
