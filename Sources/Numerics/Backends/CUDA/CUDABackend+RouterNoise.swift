extension CUDABackend {
  package func noisyForward(
    _ scores: Tensor, noise: Tensor, spread: Tensor?, least: Double, into y: Tensor
  ) {
    guard y.count > 0 else { return }
    launch(
      "noisy_forward", in: .routerNoise, .f32, grid: (y.count.groups(of: 256), 1, 1), block: 256,
      .tensor(scores), .tensor(noise), .tensor(spread), .float(least), .tensor(y), .long(y.count))
  }

  package func noisyBackward(
    _ dy: Tensor, noise: Tensor, spread: Tensor, into dSpread: Tensor, accumulate: Bool
  ) {
    guard dy.count > 0 else { return }
    launch(
      "noisy_backward", in: .routerNoise, .f32, grid: (dy.count.groups(of: 256), 1, 1), block: 256,
      .tensor(dy), .tensor(noise), .tensor(spread), .tensor(dSpread), .long(dy.count),
      .int(accumulate ? 1 : 0))
  }
}
