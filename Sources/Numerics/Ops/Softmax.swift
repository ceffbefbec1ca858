/// Kernels of the softmax of rows.
package protocol SoftmaxKernels {
  /// `y_r = softmax(x_r)`.
  func softmaxForward(_ x: Tensor, into y: Tensor)
  /// Sets `dx`.
  func softmaxBackward(_ dy: Tensor, y: Tensor, dx: Tensor)
}

extension Context {
  /// The softmax of every row: a feature map of linear attention where a row is a head.
  ///
  /// - Parameter x_RC: `[R, C]`.
  /// - Returns: `[R, C]`; rows add up to 1.
  public func softmax(_ x_RC: Tensor) -> Tensor {
    let y_RC = empty(x_RC.shape, x_RC.dtype)
    backend.softmaxForward(x_RC, into: y_RC)
    return record(y_RC, from: [x_RC], SoftmaxNode(x: x_RC.slot, y: y_RC))
  }
}

private struct SoftmaxNode: TapeNode {
  let x: GradientSlot?
  let y: Tensor

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0], x != nil else { return }
    let dx = context.empty(y.shape, y.dtype)
    context.backend.softmaxBackward(dy, y: y, dx: dx)
    context.accumulate(dx, into: x)
  }
}
