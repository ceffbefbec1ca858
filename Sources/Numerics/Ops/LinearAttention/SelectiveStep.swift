extension Context {
  /// `softplus(map(x))`: how far a token moves a memory on, per channel (Gu and Dao 2023, "Mamba", arXiv
  /// 2312.00752, algorithm 2).
  ///
  /// - Parameters:
  ///   - x_TI: Input rows, `[T, I]`.
  ///   - map: Weights `[O, I]` and a bias that is -7 for a step of 0.001: 16 bits have 1/32 there, so that
  ///     the sum is in full precision whatever the activations are.
  /// - Returns: `[T, O]` of the statistic type of `x_TI`.
  public func selectiveStep(_ x_TI: Tensor, _ map: LinearMap) -> Tensor {
    let y_TO = linear(x_TI, map, as: x_TI.dtype.statistic)
    // softplus(y) = -ln sigmoid(-y).
    return scaled(decayGate(scaled(y_TO, by: -1)).logDecay, by: -1)
  }
}
