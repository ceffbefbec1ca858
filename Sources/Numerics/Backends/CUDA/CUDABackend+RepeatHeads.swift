extension CUDABackend {
  package func repeatHeads(_ x: Tensor, dim: Int, times: Int, into y: Tensor) {
    guard y.count > 0 else { return }
    launch(
      "repeat_heads", in: .repeatHeads, x.dtype, grid: (y.count.groups(of: 256), 1, 1), block: 256,
      .tensor(x), .tensor(y), .long(y.count), .int(dim), .int(times))
  }

  package func sumHeads(_ dy: Tensor, dim: Int, times: Int, into dx: Tensor) {
    guard dx.count > 0 else { return }
    if dim == 1 {
      launch(
        "sum_scalars", in: .repeatHeads, dx.dtype, grid: (dx.count, 1, 1), block: 256, .tensor(dy),
        .tensor(dx), .long(dx.count), .int(times))
    } else {
      launch(
        "sum_heads", in: .repeatHeads, dx.dtype, grid: (dx.count.groups(of: 256), 1, 1), block: 256,
        .tensor(dy), .tensor(dx), .long(dx.count), .int(dim), .int(times))
    }
  }
}
