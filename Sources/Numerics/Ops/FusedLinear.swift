/// Linear maps of a few rows together with what comes before or after them.
package protocol FusedLinearKernels {
  /// `y = residual + x · weightᵀ (+ bias)`.
  func residualLinear(_ x: Tensor, _ map: LinearMap, residual: Tensor, into y: Tensor)
  /// `y = rmsNorm(x) · weightᵀ (+ bias)`; `y` has the type of `x` or `f32`.
  func normalizedLinear(_ x: Tensor, norm: RMSNorm, _ map: LinearMap, into y: Tensor)
  /// `hidden = silu(gate(rmsNorm(x))) · up(rmsNorm(x))`.
  func normalizedSwiGLU(
    _ x: Tensor, norm: RMSNorm, gate: LinearMap, up: LinearMap, into hidden: Tensor)
}

extension Context {
  /// `residual + map(x)`: the end of an attention or MLP with its residual connection.
  ///
  /// - Parameters:
  ///   - x_TI: Input rows, `[T, I]`.
  ///   - residual_TO: `[T, O]`; `nil` for `map(x)` alone.
  /// - Returns: `[T, O]`.
  public func linear(_ x_TI: Tensor, _ map: LinearMap, addedTo residual_TO: Tensor?) -> Tensor {
    guard let residual_TO else { return linear(x_TI, map) }
    guard let fused = fusedKernels(for: x_TI, map) else {
      return add(residual_TO, linear(x_TI, map))
    }
    let outputs = map.weight_OI.shape[0]
    precondition(
      map.weight_OI.count == outputs * x_TI.columns && residual_TO.count == x_TI.rows * outputs
        && residual_TO.dtype == x_TI.dtype,
      "linear: \(x_TI.shape) with \(map.weight_OI.shape) and \(residual_TO.shape)")
    let y_TO = empty(residual_TO.shape, x_TI.dtype)
    fused.residualLinear(x_TI, map, residual: residual_TO, into: y_TO)
    return y_TO
  }

  /// `map(rmsNorm(x))`: scores of an output head.
  ///
  /// - Parameters:
  ///   - x_TD: Rows of the residual stream, `[T, D]`.
  ///   - type: The element type of the result; that of `x_TD` unless given.
  /// - Returns: `[T, O]`.
  public func linear(
    _ x_TD: Tensor, norm: RMSNorm, _ map: LinearMap, as type: DType? = nil
  ) -> Tensor {
    precondition(map.addition == nil, "linear: scores have no additions")
    guard let fused = fusedKernels(for: x_TD) else {
      return linear(rmsNorm(x_TD, norm), weight: map.weight_OI, bias: map.bias_O, as: type)
    }
    let outputs = map.weight_OI.shape[0]
    precondition(
      map.weight_OI.count == outputs * x_TD.columns && norm.weight_D.count == x_TD.columns,
      "linear: \(x_TD.shape) with \(map.weight_OI.shape)")
    let y_TO = empty([x_TD.rows, outputs], type ?? x_TD.dtype)
    fused.normalizedLinear(x_TD, norm: norm, map, into: y_TO)
    return y_TO
  }

  /// `silu(gate(n)) · up(n)` of `n = rmsNorm(x)`: the first half of a gated MLP (Shazeer 2020, eq. 6).
  ///
  /// - Parameter x_TD: Rows of the residual stream, `[T, D]`.
  /// - Returns: `[T, I]`.
  public func swiglu(_ x_TD: Tensor, norm: RMSNorm, gate: LinearMap, up: LinearMap) -> Tensor {
    guard let fused = fusedKernels(for: x_TD, gate, up) else {
      let normed = rmsNorm(x_TD, norm)
      return swiglu(gate: linear(normed, gate), up: linear(normed, up))
    }
    let width = gate.weight_OI.shape[0]
    precondition(
      gate.weight_OI.count == width * x_TD.columns && up.weight_OI.shape == gate.weight_OI.shape
        && up.weight_OI.dtype == gate.weight_OI.dtype && norm.weight_D.count == x_TD.columns,
      "swiglu: \(x_TD.shape) with \(gate.weight_OI.shape) and \(up.weight_OI.shape)")
    let hidden_TI = empty([x_TD.rows, width], x_TD.dtype)
    fused.normalizedSwiGLU(x_TD, norm: norm, gate: gate, up: up, into: hidden_TI)
    return hidden_TI
  }
}
