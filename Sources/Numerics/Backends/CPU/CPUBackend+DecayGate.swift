import CKernels

extension CPUBackend {
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
    if let dLowerBound { fillZero(dLowerBound) }
    inParts(of: x, grain: parallelGrain / 4, addingTo: dLowerBound) { rows, sum in
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
}
