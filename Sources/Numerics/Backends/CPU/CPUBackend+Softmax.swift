import CKernels

extension CPUBackend {
  package func softmaxForward(_ x: Tensor, into y: Tensor) {
    let kernel = kernels(x.dtype).softmax_forward
    let columns = x.columns
    pool.forRanges(x.rows, minimum: max(1, parallelGrain / 4 / max(1, columns))) { rows in
      let i = rows.lowerBound * columns
      kernel?(x.pointer(at: i), y.pointer(at: i), rows.count, columns)
    }
  }

  package func softmaxBackward(_ dy: Tensor, y: Tensor, dx: Tensor) {
    let kernel = kernels(y.dtype).softmax_backward
    let columns = y.columns
    pool.forRanges(y.rows, minimum: max(1, parallelGrain / max(1, columns))) { rows in
      let i = rows.lowerBound * columns
      kernel?(dy.pointer(at: i), y.pointer(at: i), dx.pointer(at: i), rows.count, columns)
    }
  }
}
