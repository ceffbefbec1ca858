/// Kernels of root-mean-square normalisation.
package protocol RMSNormKernels {
  /// `y = x / rms(x) · weight` per row; `reciprocal[r] = 1 / rms(x_r)`.
  func rmsNormForward(
    _ x: Tensor, weight: Tensor, epsilon: Double, into y: Tensor, reciprocal: Tensor)
  /// Adds to or sets `dx`; always adds to `dWeight`. Either may be absent.
  func rmsNormBackward(
    _ dy: Tensor, _ x: Tensor, weight: Tensor, reciprocal: Tensor, dx: (Tensor, accumulate: Bool)?,
    dWeight: Tensor?)
}

extension Context {
  /// `x / √(mean(x²) + ε) · weight` along the last dimension (Zhang and Sennrich 2019, eq. 4).
  ///
  /// - Parameters:
  ///   - x_TD: Rows to normalise, `[T, D]`.
  ///   - weight_D: Per-channel gain, `[D]`.
  public func rmsNorm(_ x_TD: Tensor, weight weight_D: Tensor, epsilon: Double) -> Tensor {
    precondition(
      x_TD.columns == weight_D.count && x_TD.dtype.statistic == weight_D.dtype,
      "rmsNorm: \(x_TD.shape) \(x_TD.dtype) with \(weight_D.shape) \(weight_D.dtype)")
    let y_TD = empty(x_TD.shape, x_TD.dtype)
    let reciprocal_T = empty([x_TD.rows], x_TD.dtype.statistic)
    backend.rmsNormForward(
      x_TD, weight: weight_D, epsilon: epsilon, into: y_TD, reciprocal: reciprocal_T)
    return record(
      y_TD, from: [x_TD, weight_D],
      RMSNormNode(x: x_TD, weight: weight_D, reciprocal: reciprocal_T))
  }
}

private struct RMSNormNode: TapeNode {
  let x: Tensor
  let weight: Tensor
  let reciprocal: Tensor

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0] else { return }
    let dx = x.slot.map { context.gradientBuffer(for: $0, like: x) }
    var dWeight: Tensor?
    if let slot = weight.slot {
      let (buffer, accumulate) = context.gradientBuffer(for: slot, like: weight)
      if !accumulate { context.backend.fillZero(buffer) }
      dWeight = buffer
    }
    context.backend.rmsNormBackward(
      dy, x, weight: weight, reciprocal: reciprocal, dx: dx.map { ($0.0, accumulate: $0.1) },
      dWeight: dWeight)
  }
}
