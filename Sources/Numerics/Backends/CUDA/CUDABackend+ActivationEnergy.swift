extension CUDABackend {
  package func weightedEnergy(
    _ h_TI: Tensor, weights_I: Tensor, into energy_TI: Tensor, sums_I: Tensor
  ) {
    guard h_TI.count > 0 else { return }
    let partial = columnParts(of: h_TI)
    launch(
      "weighted_energy", in: .activationEnergy, h_TI.dtype,
      grid: (h_TI.columns.groups(of: 32), partial.rows, 1), block: 256, .tensor(h_TI),
      .tensor(weights_I), .tensor(energy_TI), .tensor(partial), .long(h_TI.rows),
      .int(h_TI.columns))
    addColumnParts(partial, to: sums_I)
  }

  package func energyShares(
    _ energy_TI: Tensor, columns_N: Tensor, totals_T: Tensor, into shares_NT: Tensor
  ) {
    precondition(energy_TI.dtype == .f32, "energyShares: \(energy_TI.dtype)")
    guard shares_NT.count > 0 else { return }
    launch(
      "energy_shares", in: .activationEnergy, .f32,
      grid: (energy_TI.rows.groups(of: 32), columns_N.count.groups(of: 32), 1), block: 256,
      .tensor(energy_TI), .tensor(columns_N), .tensor(totals_T), .tensor(shares_NT),
      .int(energy_TI.rows), .int(energy_TI.columns), .int(columns_N.count))
  }

  package func unitRoots(_ x_RC: Tensor, totals_R: Tensor, into y_RC: Tensor) {
    precondition(x_RC.dtype == .f32, "unitRoots: \(x_RC.dtype)")
    guard x_RC.count > 0 else { return }
    launch(
      "unit_roots", in: .activationEnergy, .f32, grid: (x_RC.rows, 1, 1), block: 256,
      .tensor(x_RC), .tensor(totals_R), .tensor(y_RC), .int(x_RC.columns))
  }
}
