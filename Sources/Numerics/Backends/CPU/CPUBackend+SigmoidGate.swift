import CKernels

extension CPUBackend {
  package func sigmoidGateForward(_ x: Tensor, scores: Tensor, into y: Tensor) {
    let kernel = kernels(x.dtype).sigmoid_gate_forward
    let columns = x.columns
    pool.forRanges(x.rows, minimum: max(1, parallelGrain / columns)) { rows in
      let i = rows.lowerBound
      kernel?(
        x.pointer(at: i * columns), scores.pointer(at: i), y.pointer(at: i * columns), rows.count,
        columns)
    }
  }

  package func sigmoidGateBackward(
    _ dy: Tensor, _ x: Tensor, scores: Tensor, dx: Tensor, dScores: Tensor
  ) {
    let kernel = kernels(x.dtype).sigmoid_gate_backward
    let columns = x.columns
    pool.forRanges(x.rows, minimum: max(1, parallelGrain / columns)) { rows in
      let i = rows.lowerBound
      kernel?(
        dy.pointer(at: i * columns), x.pointer(at: i * columns), scores.pointer(at: i),
        dx.pointer(at: i * columns), dScores.pointer(at: i), rows.count, columns)
    }
  }
}
