import CKernels

extension CPUBackend {
  package func headScaleForward(
    _ x_TC: Tensor, experts_TK: Tensor, weights_TK: Tensor, expertOfHead: Tensor, into y_TC: Tensor
  ) {
    let kernel = kernels(x_TC.dtype).head_scale_forward
    let (columns, heads, topK) = (x_TC.columns, expertOfHead.count, experts_TK.columns)
    pool.forRanges(x_TC.rows, minimum: max(1, parallelGrain / max(1, columns))) { rows in
      let i = rows.lowerBound
      kernel?(
        x_TC.pointer(at: i * columns), experts_TK.integers + i * topK,
        weights_TK.pointer(at: i * topK), expertOfHead.integers, y_TC.pointer(at: i * columns),
        rows.count, heads, columns / heads, topK)
    }
  }

  package func headScaleBackward(
    _ dy_TC: Tensor, _ x_TC: Tensor, experts_TK: Tensor, weights_TK: Tensor, expertOfHead: Tensor,
    dx: Tensor, dWeights: Tensor
  ) {
    let kernel = kernels(x_TC.dtype).head_scale_backward
    let (columns, heads, topK) = (x_TC.columns, expertOfHead.count, experts_TK.columns)
    pool.forRanges(x_TC.rows, minimum: max(1, parallelGrain / max(1, columns))) { rows in
      let i = rows.lowerBound
      kernel?(
        dy_TC.pointer(at: i * columns), x_TC.pointer(at: i * columns),
        experts_TK.integers + i * topK, weights_TK.pointer(at: i * topK), expertOfHead.integers,
        dx.pointer(at: i * columns), dWeights.pointer(at: i * topK), rows.count, heads,
        columns / heads, topK)
    }
  }
}
