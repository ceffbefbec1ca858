extension CUDABackend {
  package func absoluteForward(_ x: Tensor, into y: Tensor) {
    guard x.count > 0 else { return }
    launch(
      "absolute_forward", in: .absolute, .f32, grid: (x.count.groups(of: 256), 1, 1), block: 256,
      .tensor(x), .tensor(y), .long(x.count))
  }

  package func absoluteBackward(_ dy: Tensor, _ x: Tensor, into dx: Tensor, accumulate: Bool) {
    guard x.count > 0 else { return }
    launch(
      "absolute_backward", in: .absolute, .f32, grid: (x.count.groups(of: 256), 1, 1), block: 256,
      .tensor(dy), .tensor(x), .tensor(dx), .long(x.count), .int(accumulate ? 1 : 0))
  }
}
