/// Kernels of the linearised relative position encoding.
package protocol LRPEKernels {
  /// `y[t, h] = [x[t, h] · cos(t·θ_h), x[t, h] · sin(t·θ_h)]`; one row of `theta` serves all heads or
  /// each has its own.
  func lrpeForward(_ x: Tensor, theta: Tensor, positions: Tensor, heads: Int, into y: Tensor)
  /// Sets the gradients. Either may be absent.
  func lrpeBackward(
    _ dy: Tensor, _ x: Tensor, theta: Tensor, positions: Tensor, heads: Int, dx: Tensor?,
    dTheta: Tensor?)
}

extension Context {
  /// The linearised relative position encoding (Qin et al. 2023, arXiv 2307.09270), in its real form
  /// of twice the channels: the product of a query at `t` and a key at `s` becomes
  /// `Σ_j q_j k_j cos(θ_j (t - s))`. With fixed `theta`, LRPE-cos of cosFormer2.
  ///
  /// Angles are the product of position and `theta` rounded to `f32`, or `f64` with `x`.
  ///
  /// - Parameters:
  ///   - x_TC: Queries or keys, `[T, heads · d]`, `d ≤ 128`.
  ///   - theta_HD: Radians per position, `[heads, d]`, or `[1, d]` for all heads.
  ///   - positions: Position of each token in its document, `[T]`, `i32`.
  /// - Returns: `[T, heads · 2d]`.
  public func lrpe(_ x_TC: Tensor, theta theta_HD: Tensor, positions: Tensor, heads: Int)
    -> Tensor
  {
    precondition(
      heads > 0 && x_TC.columns == heads * theta_HD.columns && theta_HD.columns <= 128
        && (theta_HD.rows == heads || theta_HD.rows == 1) && positions.count == x_TC.rows
        && positions.dtype == .i32 && theta_HD.dtype == x_TC.dtype.statistic,
      "lrpe: \(x_TC.shape) with θ \(theta_HD.shape), \(heads) heads, \(positions.count) positions")
    let y_TC = empty([x_TC.rows, 2 * x_TC.columns], x_TC.dtype)
    backend.lrpeForward(x_TC, theta: theta_HD, positions: positions, heads: heads, into: y_TC)
    return record(
      y_TC, from: [x_TC, theta_HD],
      LRPENode(x: x_TC, theta: theta_HD, positions: positions, heads: heads))
  }
}

private struct LRPENode: TapeNode {
  let x: Tensor
  let theta: Tensor
  let positions: Tensor
  let heads: Int

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0] else { return }
    let dx = x.slot.map { _ in context.empty(x.shape, x.dtype) }
    let dTheta = theta.slot.map { _ in context.empty(theta.shape, theta.dtype) }
    context.backend.lrpeBackward(
      dy, x, theta: theta, positions: positions, heads: heads, dx: dx, dTheta: dTheta)
    if let dx { context.accumulate(dx, into: x.slot) }
    if let dTheta { context.accumulate(dTheta, into: theta.slot) }
  }
}
