extension Context {
  /// `tanh(x)` elementwise, as `2 · sigmoid(2x) − 1`: for few values, such as those inside a router.
  /// Near 0 it is exact to the rounding of numbers near 1.
  ///
  /// - Parameter x: Any shape, in full precision.
  public func tanh(_ x: Tensor) -> Tensor {
    precondition(x.dtype == x.dtype.statistic, "tanh: \(x.dtype)")
    func constant(_ value: Double) -> Tensor {
      tensor([Double](repeating: value, count: x.count), [x.count, 1], x.dtype)
    }
    let sigmoids = sigmoidGate(constant(2), scores: add(x, x).reshaped([x.count]))
    return add(sigmoids, constant(-1)).reshaped(x.shape)
  }
}
