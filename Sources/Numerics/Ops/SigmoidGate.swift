/// Kernels of a per-row sigmoid gate.
package protocol SigmoidGateKernels {
  /// `y_r = sigmoid(score_r) · x_r`.
  func sigmoidGateForward(_ x: Tensor, scores: Tensor, into y: Tensor)
  /// Sets `dx` and `dScores`.
  func sigmoidGateBackward(
    _ dy: Tensor, _ x: Tensor, scores: Tensor, dx: Tensor, dScores: Tensor)
}

extension Context {
  /// Rows of `x_TD` scaled by the sigmoid of their score (the shared expert of Qwen2-MoE).
  ///
  /// - Parameters:
  ///   - x_TD: `[T, D]`.
  ///   - scores_T: One score per row, `[T]` or `[T, 1]`.
  public func sigmoidGate(_ x_TD: Tensor, scores scores_T: Tensor) -> Tensor {
    precondition(scores_T.count == x_TD.rows && scores_T.dtype == x_TD.dtype.statistic)
    let y_TD = empty(x_TD.shape, x_TD.dtype)
    backend.sigmoidGateForward(x_TD, scores: scores_T, into: y_TD)
    return record(y_TD, from: [x_TD, scores_T], SigmoidGateNode(x: x_TD, scores: scores_T))
  }
}

private struct SigmoidGateNode: TapeNode {
  let x: Tensor
  let scores: Tensor

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0] else { return }
    let dx = context.empty(x.shape, x.dtype)
    let dScores = context.empty(scores.shape, scores.dtype)
    context.backend.sigmoidGateBackward(dy, x, scores: scores, dx: dx, dScores: dScores)
    context.accumulate(dx, into: x.slot)
    context.accumulate(dScores, into: scores.slot)
  }
}
