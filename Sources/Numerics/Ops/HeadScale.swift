/// Kernels that weigh attention heads token by token.
package protocol HeadScaleKernels {
  /// `y[t, h] = c · x[t, h]` with `c` the weight of the choice of `t` that is `expertOfHead[h]`, 0
  /// where `t` did not choose it, and 1 for heads of expert -1.
  func headScaleForward(
    _ x_TC: Tensor, experts_TK: Tensor, weights_TK: Tensor, expertOfHead: Tensor, into y_TC: Tensor)
  /// Sets both gradients.
  func headScaleBackward(
    _ dy_TC: Tensor, _ x_TC: Tensor, experts_TK: Tensor, weights_TK: Tensor, expertOfHead: Tensor,
    dx: Tensor, dWeights: Tensor)
}

extension Context {
  /// Attention heads scaled by the weights of the experts they belong to: what turns dense
  /// attention into a mixture of heads (Jin et al. 2024, "MoH: Multi-Head Attention as
  /// Mixture-of-Head Attention", eq. 5). Heads of experts a token did not choose become 0.
  ///
  /// - Parameters:
  ///   - x_TC: Outputs of the heads, `[T, heads · d]`.
  ///   - routing: Chosen experts and their weights, `[T, K]` each.
  ///   - expertOfHead: The expert of each head, or -1 for a head that every token uses with weight
  ///     one; `[heads]` `i32`.
  /// - Returns: `[T, heads · d]`; gradients flow to `x_TC` and the weights.
  public func scaleHeads(_ x_TC: Tensor, _ routing: Routing, expertOfHead: Tensor) -> Tensor {
    let (experts_TK, weights_TK) = (routing.experts_TK, routing.weights_TK)
    precondition(
      expertOfHead.dtype == .i32 && expertOfHead.count > 0
        && x_TC.columns % expertOfHead.count == 0 && experts_TK.rows == x_TC.rows
        && weights_TK.dtype == x_TC.dtype.statistic,
      "scaleHeads: \(x_TC.shape), \(expertOfHead.count) heads, choices \(experts_TK.shape)")
    let y_TC = empty(x_TC.shape, x_TC.dtype)
    backend.headScaleForward(
      x_TC, experts_TK: experts_TK, weights_TK: weights_TK, expertOfHead: expertOfHead, into: y_TC)
    return record(
      y_TC, from: [x_TC, weights_TK],
      HeadScaleNode(
        x: x_TC, experts: experts_TK, weights: weights_TK, expertOfHead: expertOfHead))
  }
}

private struct HeadScaleNode: TapeNode {
  let x: Tensor
  let experts: Tensor
  let weights: Tensor
  let expertOfHead: Tensor

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0] else { return }
    let dx = context.empty(x.shape, x.dtype)
    let dWeights = context.empty(weights.shape, weights.dtype)
    context.backend.headScaleBackward(
      dy, x, experts_TK: experts, weights_TK: weights, expertOfHead: expertOfHead, dx: dx,
      dWeights: dWeights)
    context.accumulate(dx, into: x.slot)
    context.accumulate(dWeights, into: weights.slot)
  }
}
