extension CUDABackend {
  package func addBias(_ bias: Tensor, to x: Tensor) {
    guard x.count > 0 else { return }
    launch(
      "add_bias", in: .bias, x.dtype, grid: (x.rows, 1, 1),
      block: threads(forVectorsOf: x), .tensor(x), .tensor(floats(bias)), .int(x.columns))
  }

  package func addColumnSums(of x: Tensor, to bias: Tensor) {
    guard x.count > 0 else { return }
    let parts = min(64, x.rows.groups(of: 32))
    let partial = scratch([parts, x.columns], .f32)
    launch(
      "column_sums", in: .bias, x.dtype,
      grid: (x.columns.groups(of: 32 * x.dtype.vectorWidth), parts, 1), block: 256,
      .tensor(x), .tensor(partial), .long(x.rows), .int(x.columns))
    addPartialSums(partial, to: bias)
  }

  /// Adds the rows of `partial` to `sum`, an `f32` vector, in a fixed order.
  func addPartialSums(_ partial: Tensor, to sum: Tensor) {
    precondition(sum.dtype == .f32, "sums of gradients in \(sum.dtype)")
    launch(
      "add_partial_sums", in: .bias, .f32, grid: (partial.columns.groups(of: 32), 1, 1),
      block: 1024, .tensor(partial), .tensor(sum), .int(partial.rows), .int(partial.columns))
  }

  /// Whole warps, at most 256 threads: one vector of a row each while they last.
  func threads(forVectorsOf x: Tensor) -> Int {
    min(256, x.columns.groups(of: x.dtype.vectorWidth * 32) * 32)
  }
}
