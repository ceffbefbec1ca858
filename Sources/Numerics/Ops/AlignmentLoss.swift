/// Kernels of squared errors between activations.
package protocol AlignmentLossKernels {
  /// `loss = factor · Σ (x - target)²`, where `factor` becomes `1 / Σ target²` (`relative`) or
  /// `1 / count`.
  func squaredErrorForward(
    _ x: Tensor, target: Tensor, relative: Bool, into loss: Tensor, factor: Tensor)
  /// `dx (+)= 2 · upstream · factor · (x - target)`.
  func squaredErrorBackward(
    _ upstream: Tensor, factor: Tensor, _ x: Tensor, target: Tensor, into dx: Tensor,
    accumulate: Bool)
}

extension Context {
  /// `Σ (x - target)² / Σ target²`: the share of the target's energy that `x` misses.
  ///
  /// - Parameters:
  ///   - x: Values to align, any shape.
  ///   - target: What they should be, of equal size; a constant, no gradient flows to it.
  /// - Returns: A scalar.
  public func relativeSquaredError(_ x: Tensor, target: Tensor) -> Tensor {
    squaredError(x, target, relative: true)
  }

  /// `mean((x - target)²)`; no gradient flows to the target.
  public func meanSquaredError(_ x: Tensor, target: Tensor) -> Tensor {
    squaredError(x, target, relative: false)
  }

  private func squaredError(_ x: Tensor, _ target: Tensor, relative: Bool) -> Tensor {
    precondition(x.count == target.count && x.dtype == target.dtype)
    let (loss, factor) = (empty([], x.dtype.statistic), empty([], x.dtype.statistic))
    backend.squaredErrorForward(x, target: target, relative: relative, into: loss, factor: factor)
    return record(
      loss, from: [x], SquaredErrorNode(x: x, target: target.detached(), factor: factor))
  }
}

private struct SquaredErrorNode: TapeNode {
  let x: Tensor
  let target: Tensor
  let factor: Tensor

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let upstream = gradients[0], let slot = x.slot else { return }
    let (dx, accumulate) = context.gradientBuffer(for: slot, like: x)
    context.backend.squaredErrorBackward(
      upstream, factor: factor, x, target: target, into: dx, accumulate: accumulate)
  }
}
