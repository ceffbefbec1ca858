import CKernels

extension CPUBackend {
  package func repeatHeads(_ x: Tensor, dim: Int, times: Int, into y: Tensor) {
    let kernel = kernels(x.dtype).repeat_runs
    pool.forRanges(x.count / dim, minimum: max(1, parallelGrain / (dim * times))) { runs in
      let i = runs.lowerBound * dim
      kernel?(x.pointer(at: i), y.pointer(at: i * times), runs.count, dim, times)
    }
  }

  package func sumHeads(_ dy: Tensor, dim: Int, times: Int, into dx: Tensor) {
    let kernel = kernels(dx.dtype).sum_runs
    pool.forRanges(dx.count / dim, minimum: max(1, parallelGrain / (dim * times))) { runs in
      let i = runs.lowerBound * dim
      kernel?(dy.pointer(at: i * times), dx.pointer(at: i), runs.count, dim, times)
    }
  }

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
    inParts(of: x, grain: parallelGrain / 16, sumInto: dTheta) { rows, sum in
      let i = rows.lowerBound
      kernel?(
        dy.pointer(at: i * 2 * columns), x.pointer(at: i * columns), theta.pointer,
        positions.integers + i, dx?.pointer(at: i * columns), sum, rows.count, heads,
        columns / heads, theta.rows)
    }
  }

  package func decayGateForward(
    _ x: Tensor, lowerBound: Tensor?, temperature: Double, logDecay: Tensor, rest: Tensor?
  ) {
    let kernel = kernels(x.dtype).decay_gate_forward
    let columns = x.columns
    pool.forRanges(x.rows, minimum: max(1, parallelGrain / 16 / max(1, columns))) { rows in
      let i = rows.lowerBound * columns
      kernel?(
        x.pointer(at: i), lowerBound?.pointer, temperature, logDecay.pointer(at: i),
        rest?.pointer(at: i), rows.count, columns)
    }
  }

  package func decayGateBackward(
    dLogDecay: Tensor?, dRest: Tensor?, _ x: Tensor, lowerBound: Tensor?, temperature: Double,
    dx: Tensor, dLowerBound: Tensor?
  ) {
    let kernel = kernels(x.dtype).decay_gate_backward
    let columns = x.columns
    inParts(of: x, grain: parallelGrain / 4, sumInto: dLowerBound) { rows, sum in
      let i = rows.lowerBound * columns
      kernel?(
        dLogDecay?.pointer(at: i), dRest?.pointer(at: i), x.pointer(at: i), lowerBound?.pointer,
        temperature, dx.pointer(at: i), sum, rows.count, columns)
    }
  }

  package func lowerBoundForward(_ table: Tensor, row: Int, into bound: Tensor) {
    kernels(table.dtype).lower_bound(
      table.pointer, bound.pointer, table.rows, table.columns, row)
  }

  package func lowerBoundBackward(_ dBound: Tensor, table: Tensor, row: Int, dTable: Tensor) {
    kernels(table.dtype).lower_bound_backward(
      dBound.pointer, table.pointer, dTable.pointer, table.rows, table.columns, row)
  }

  /// Runs `body` over ranges of the rows of `x`, each with sums of its own of the size of `total`, which
  /// becomes their sum, added in order.
  private func inParts(
    of x: Tensor, grain: Int, sumInto total: Tensor?,
    _ body: (_ rows: Range<Int>, _ sum: UnsafeMutableRawPointer?) -> Void
  ) {
    let parts = max(1, min(pool.threads * 2, x.count / grain))
    let size = total?.count ?? 0
    let partial = scratch([parts, size], x.dtype)
    fillZero(partial)
    pool.run(parts) { part in
      body(
        x.rows * part / parts..<x.rows * (part + 1) / parts,
        total.map { _ in partial.pointer(at: part * size) })
    }
    guard let total else { return }
    fillZero(total)
    let add = kernels(x.dtype).add
    for part in 0..<parts {
      add?(total.pointer, partial.pointer(at: part * size), total.pointer, size)
    }
  }
}
