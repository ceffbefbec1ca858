/// Kernels of what neurons contribute per token.
package protocol ActivationEnergyKernels {
  /// `energy = (|h| · weight)²`, `sums += Σ_t |h| · weight` in `f64`.
  func weightedEnergy(_ h_TI: Tensor, weights_I: Tensor, into energy_TI: Tensor, sums_I: Tensor)
  /// `shares[n, t] = energy[t, columns[n]] / totals[t]`, 0 where the total is.
  func energyShares(
    _ energy_TI: Tensor, columns_N: Tensor, totals_T: Tensor, into shares_NT: Tensor)
  /// `y[r, c] = √(x[r, c] / totals[r])`, 0 where the total is.
  func unitRoots(_ x_RC: Tensor, totals_R: Tensor, into y_RC: Tensor)
}

extension Context {
  /// Writes the squared weighted activations `(|h_n| · w_n)²` of some tokens and adds the unsquared
  /// ones to `sums_I`, without a gradient.
  ///
  /// - Parameters:
  ///   - h_TI: Activations, `[T, I]`.
  ///   - weights_I: A weight per neuron, `[I]`, of `h_TI`'s statistic type.
  ///   - energy_TI: Gets the squares, `[T, I]`, of that type too.
  ///   - sums_I: Grows by the sums over tokens, `[I]`, `f64`.
  package func weightedEnergy(
    _ h_TI: Tensor, weights weights_I: Tensor, into energy_TI: Tensor, sums sums_I: Tensor
  ) {
    let type = h_TI.dtype.statistic
    precondition(energy_TI.shape == h_TI.shape && energy_TI.dtype == type)
    precondition(weights_I.count == h_TI.columns && weights_I.dtype == type)
    precondition(sums_I.count == h_TI.columns && sums_I.dtype == .f64)
    backend.weightedEnergy(h_TI, weights_I: weights_I, into: energy_TI, sums_I: sums_I)
  }

  /// The share that some neurons hold of each token's energy, neuron by neuron, without a gradient.
  ///
  /// - Parameters:
  ///   - energy_TI: Energies, `[T, I]`, `f32` or `f64`.
  ///   - columns_N: The neurons, `[N]` `i32`.
  /// - Returns: `[N, T]`; 0 for tokens without energy.
  package func energyShares(_ energy_TI: Tensor, of columns_N: Tensor) -> Tensor {
    precondition(columns_N.dtype == .i32 && energy_TI.dtype.isReal)
    let shares_NT = empty([columns_N.count, energy_TI.rows], energy_TI.dtype)
    backend.energyShares(
      energy_TI, columns_N: columns_N, totals_T: rowSums(energy_TI), into: shares_NT)
    return shares_NT
  }

  /// The roots of non-negative rows scaled to sum to one: rows of unit length, without a gradient.
  ///
  /// - Parameter x_RC: `[R, C]`, `f32` or `f64`, nowhere negative.
  /// - Returns: `[R, C]`; rows of zeros stay so.
  package func unitRoots(_ x_RC: Tensor) -> Tensor {
    precondition(x_RC.dtype.isReal)
    let y_RC = empty(x_RC.shape, x_RC.dtype)
    backend.unitRoots(x_RC, totals_R: rowSums(x_RC), into: y_RC)
    return y_RC
  }
}
