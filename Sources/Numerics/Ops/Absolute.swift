/// Kernels of the absolute value.
package protocol AbsoluteKernels {
  /// `y = |x|`.
  func absoluteForward(_ x: Tensor, into y: Tensor)
  /// `dx (+)= sign(x) · dy`, with the sign of zero zero.
  func absoluteBackward(_ dy: Tensor, _ x: Tensor, into dx: Tensor, accumulate: Bool)
}

extension Context {
  /// `|x|`, element by element, for `f32` and `f64`.
  public func absolute(_ x: Tensor) -> Tensor {
    precondition(x.dtype.isReal, "absolute: \(x.dtype)")
    let y = empty(x.shape, x.dtype)
    backend.absoluteForward(x, into: y)
    return record(y, from: [x], AbsoluteNode(x: x))
  }
}

private struct AbsoluteNode: TapeNode {
  let x: Tensor

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0], let slot = x.slot else { return }
    let (dx, accumulate) = context.gradientBuffer(for: slot, like: x)
    context.backend.absoluteBackward(dy, x, into: dx, accumulate: accumulate)
  }
}
