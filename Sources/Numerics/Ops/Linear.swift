/// Kernels of matrix products.
package protocol LinearKernels {
  /// `c = alpha · op(a) · op(b) (+ c)` for row-major matrices, `op` transposing where asked.
  /// `b` may hold 16-bit weights while `a` and `c` are `f32`; with 16-bit `a` any mix is allowed.
  func matmul(
    _ a: Tensor, transposeA: Bool, _ b: Tensor, transposeB: Bool, alpha: Double, into c: Tensor,
    accumulate: Bool)
  /// Adds `bias[cols]` to every row of `x`.
  func addBias(_ bias: Tensor, to x: Tensor)
  /// Adds the column sums of `x` to `bias`.
  func addColumnSums(of x: Tensor, to bias: Tensor)
}

extension Context {
  /// `x · weightᵀ (+ bias)`.
  ///
  /// - Parameters:
  ///   - x_TI: Input rows, `[T, I]`.
  ///   - weight_OI: Weights as checkpoints store them, `[O, I]`; `f32`, `f64` or 16-bit, whose
  ///     gradient is `f32`.
  ///   - bias_O: Optional bias, `[O]`.
  ///   - scale: Factor of the product, not of the bias.
  ///   - type: The element type of the result; that of `x_TI` unless given.
  /// - Returns: `[T, O]`.
  public func linear(
    _ x_TI: Tensor, weight weight_OI: Tensor, bias bias_O: Tensor? = nil,
    scaledBy scale: Double = 1, as type: DType? = nil
  ) -> Tensor {
    linear(x_TI, read: x_TI, weight_OI, bias_O, scale: scale, as: type ?? x_TI.dtype)
  }

  /// `x · weightᵀ (+ bias)` multiplied in full precision whatever the type of activations is: scores
  /// that decide where a token goes, which a rounded weight would change.
  ///
  /// - Parameters:
  ///   - x_TI: Input rows, `[T, I]`.
  ///   - map: Weights `[O, I]`, few of them: the product is slower than ``linear(_:weight:bias:as:)``.
  /// - Returns: `[T, O]` of the statistic type of `x_TI`.
  public func scores(_ x_TI: Tensor, _ map: LinearMap) -> Tensor {
    precondition(map.addition == nil, "scores have no additions")
    let type = x_TI.dtype.statistic
    return linear(x_TI, read: cast(x_TI, to: type), map.weight_OI, map.bias_O, scale: 1, as: type)
  }

  /// `x + bias` in every row.
  ///
  /// - Parameters:
  ///   - x_TO: Rows, `[T, O]`.
  ///   - bias_O: `[O]`, of the statistic type of `x_TO`.
  /// - Returns: `[T, O]`.
  public func add(_ x_TO: Tensor, bias bias_O: Tensor) -> Tensor {
    precondition(bias_O.count == x_TO.columns && bias_O.dtype == x_TO.dtype.statistic)
    let y_TO = empty(x_TO.shape, x_TO.dtype)
    backend.copy(x_TO, into: y_TO)
    backend.addBias(bias_O, to: y_TO)
    return record(y_TO, from: [x_TO, bias_O], BiasNode(x: x_TO, bias: bias_O))
  }

  /// - Parameter read: The values of `x_TI` in the type they are multiplied in.
  private func linear(
    _ x_TI: Tensor, read: Tensor, _ weight_OI: Tensor, _ bias_O: Tensor?, scale: Double,
    as type: DType
  ) -> Tensor {
    let outputs = weight_OI.shape[0]
    precondition(
      weight_OI.count == outputs * x_TI.columns, "linear: \(x_TI.shape) with \(weight_OI.shape)")
    let y_TO = empty([x_TI.rows, outputs], type)
    backend.matmul(
      read, transposeA: false, weight_OI, transposeB: true, alpha: scale, into: y_TO,
      accumulate: false)
    if let bias_O { backend.addBias(bias_O, to: y_TO) }
    return record(
      y_TO, from: [x_TI, weight_OI, bias_O],
      LinearNode(x: x_TI, weight: weight_OI, bias: bias_O, scale: scale))
  }
}

private struct LinearNode: TapeNode {
  let x: Tensor
  let weight: Tensor
  let bias: Tensor?
  let scale: Double

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let gradient = gradients[0] else { return }
    let dy = gradient.reshaped([x.rows, weight.shape[0]])
    let x2 = x.reshaped([x.rows, x.columns])
    if let slot = x.slot {
      let (dx, accumulate) = context.gradientBuffer(for: slot, like: x2)
      context.backend.matmul(
        dy, transposeA: false, weight, transposeB: false, alpha: scale,
        into: dx.reshaped([x.rows, x.columns]), accumulate: accumulate)
    }
    if let slot = weight.slot {
      let (dWeight, accumulate) = context.gradientBuffer(
        for: slot, like: weight, as: weight.dtype.statistic)
      context.backend.matmul(
        dy, transposeA: true, x2, transposeB: false, alpha: scale, into: dWeight,
        accumulate: accumulate)
    }
    context.accumulateBias(dy, of: bias)
  }
}

private struct BiasNode: TapeNode {
  let x: Tensor
  let bias: Tensor

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0] else { return }
    context.accumulate(dy, into: x.slot)
    context.accumulateBias(dy.reshaped([x.rows, x.columns]), of: bias)
  }
}

extension Context {
  /// Adds the column sums of `dy` to the gradient of `bias`, if it has one.
  fileprivate func accumulateBias(_ dy: Tensor, of bias: Tensor?) {
    guard let bias, let slot = bias.slot else { return }
    let (dBias, accumulate) = gradientBuffer(for: slot, like: bias)
    if !accumulate { backend.fillZero(dBias) }
    backend.addColumnSums(of: dy, to: dBias)
  }
}
