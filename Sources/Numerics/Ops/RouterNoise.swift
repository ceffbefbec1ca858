/// Kernels of noise on router scores.
package protocol RouterNoiseKernels {
  /// `y = scores + noise · (softplus(spread) + least)`; without a spread `scores + noise · least`.
  func noisyForward(
    _ scores: Tensor, noise: Tensor, spread: Tensor?, least: Double, into y: Tensor)
  /// `dSpread (+)= dy · noise · sigmoid(spread)`.
  func noisyBackward(
    _ dy: Tensor, noise: Tensor, spread: Tensor, into dSpread: Tensor, accumulate: Bool)
}

extension Context {
  /// Scores with noise whose size may be learned per token and expert (Shazeer et al. 2017,
  /// "Outrageously Large Neural Networks", eq. 4): `scores + noise · (softplus(spread) + least)`.
  ///
  /// - Parameters:
  ///   - scores: `[T, E]`, `f32` or `f64`.
  ///   - noise: Standard normal values of the same shape; a constant.
  ///   - spread: What the noise's size is the softplus of, `[T, E]`; `nil` for noise of size `least`.
  ///   - least: Added to the size.
  /// - Returns: `[T, E]`; gradients flow to the scores and the spread.
  public func noisy(
    _ scores: Tensor, noise: Tensor, spread: Tensor? = nil, least: Double
  ) -> Tensor {
    precondition(
      noise.count == scores.count && noise.dtype == scores.dtype && scores.dtype.isReal
        && (spread.map { $0.count == scores.count && $0.dtype == scores.dtype } ?? true),
      "noisy: \(scores.shape) with \(noise.shape)")
    let y = empty(scores.shape, scores.dtype)
    backend.noisyForward(scores, noise: noise, spread: spread, least: least, into: y)
    return record(
      y, from: [scores, spread],
      RouterNoiseNode(scores: scores.slot, noise: noise, spread: spread))
  }
}

private struct RouterNoiseNode: TapeNode {
  let scores: GradientSlot?
  let noise: Tensor
  let spread: Tensor?

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0] else { return }
    if let spread, let slot = spread.slot {
      let (dSpread, accumulate) = context.gradientBuffer(for: slot, like: spread)
      context.backend.noisyBackward(
        dy, noise: noise, spread: spread, into: dSpread, accumulate: accumulate)
    }
    context.accumulate(dy, into: scores)
  }
}
