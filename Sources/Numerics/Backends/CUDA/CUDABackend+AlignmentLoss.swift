extension CUDABackend {
  package func squaredErrorForward(
    _ x: Tensor, target: Tensor, relative: Bool, into loss: Tensor, factor: Tensor
  ) {
    precondition(x.dtype == target.dtype, "squaredError: \(x.dtype) and \(target.dtype)")
    // Fixed by the size alone, so that sums do not depend on the GPU.
    let parts = min(512, x.blocksOfVectors)
    let partial = scratch([max(1, parts), 2], .f64)
    if parts > 0 {
      launch(
        "squared_error_partial", in: .alignmentLoss, x.dtype, grid: (parts, 1, 1), block: 256,
        .tensor(x), .tensor(target), .tensor(partial), .long(x.count))
    }
    launch(
      "squared_error_finish", in: .alignmentLoss, x.dtype, grid: (1, 1, 1), block: 256,
      .tensor(partial), .int(parts), .long(x.count), .int(relative ? 1 : 0), .tensor(loss),
      .tensor(factor))
  }

  package func squaredErrorBackward(
    _ upstream: Tensor, factor: Tensor, _ x: Tensor, target: Tensor, into dx: Tensor,
    accumulate: Bool
  ) {
    guard x.count > 0 else { return }
    launch(
      "squared_error_backward", in: .alignmentLoss, x.dtype, grid: (x.blocksOfVectors, 1, 1),
      block: 256, .tensor(upstream), .tensor(factor), .tensor(x), .tensor(target), .tensor(dx),
      .long(x.count), .int(accumulate ? 1 : 0))
  }
}
