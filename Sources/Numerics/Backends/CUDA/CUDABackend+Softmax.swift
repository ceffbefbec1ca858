extension CUDABackend {
  package func softmaxForward(_ x: Tensor, into y: Tensor) {
    guard x.count > 0 else { return }
    launch(
      "softmax_forward", in: .softmax, x.dtype, grid: (x.rows.groups(of: 8), 1, 1), block: 256,
      .tensor(x), .tensor(y), .long(x.rows), .int(x.columns))
  }

  package func softmaxBackward(_ dy: Tensor, y: Tensor, dx: Tensor) {
    guard y.count > 0 else { return }
    launch(
      "softmax_backward", in: .softmax, y.dtype, grid: (y.rows.groups(of: 8), 1, 1), block: 256,
      .tensor(dy), .tensor(y), .tensor(dx), .long(y.rows), .int(y.columns))
  }
}
