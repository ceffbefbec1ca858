extension CUDABackend {
  package func decayGateForward(
    _ x: Tensor, lowerBound: Tensor?, temperature: Double, logDecay: Tensor, rest: Tensor?
  ) {
    guard x.count > 0 else { return }
    launch(
      "decay_gate_forward", in: .decayGate, x.dtype, grid: (x.count.groups(of: 256), 1, 1),
      block: 256, .tensor(x), .tensor(lowerBound), .float(1 / temperature), .tensor(logDecay),
      .tensor(rest), .long(x.count), .int(x.columns))
  }

  package func decayGateBackward(
    dLogDecay: Tensor?, dRest: Tensor?, _ x: Tensor, lowerBound: Tensor?, temperature: Double,
    dx: Tensor, dLowerBound: Tensor?
  ) {
    if let dLowerBound { fillZero(dLowerBound) }
    guard x.count > 0 else { return }
    let parts = min(64, x.rows.groups(of: 32))
    let partial = dLowerBound.map { _ in scratch([parts, x.columns], .f32) }
    launch(
      "decay_gate_backward", in: .decayGate, x.dtype, grid: (x.columns.groups(of: 32), parts, 1),
      block: 256, .tensor(dLogDecay), .tensor(dRest), .tensor(x), .tensor(lowerBound),
      .float(1 / temperature), .tensor(dx), .tensor(partial), .long(x.rows), .int(x.columns))
    if let dLowerBound, let partial { addPartialSums(partial, to: dLowerBound) }
  }

  package func lowerBoundForward(_ table: Tensor, row: Int, into bound: Tensor) {
    guard bound.count > 0 else { return }
    launch(
      "lower_bound", in: .decayGate, .f32, grid: (bound.count.groups(of: 256), 1, 1), block: 256,
      .tensor(table), .tensor(bound), .int(table.rows), .int(table.columns), .int(row))
  }

  package func lowerBoundBackward(_ dBound: Tensor, table: Tensor, row: Int, dTable: Tensor) {
    guard table.count > 0 else { return }
    launch(
      "lower_bound_backward", in: .decayGate, .f32,
      grid: (table.columns.groups(of: 256), 1, 1), block: 256, .tensor(dBound), .tensor(table),
      .tensor(dTable), .int(table.rows), .int(table.columns), .int(row))
  }
}
