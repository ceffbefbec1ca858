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
}
