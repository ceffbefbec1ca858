extension CUDABackend {
  package func repeatHeads(_ x: Tensor, dim: Int, times: Int, into y: Tensor) {
    guard y.count > 0 else { return }
    launch(
      "repeat_heads", in: .repeatHeads, x.dtype, grid: (y.count.groups(of: 256), 1, 1), block: 256,
      .tensor(x), .tensor(y), .long(y.count), .int(dim), .int(times))
  }

  package func sumHeads(_ dy: Tensor, dim: Int, times: Int, into dx: Tensor) {
    guard dx.count > 0 else { return }
    if dim == 1 {
      launch(
        "sum_scalars", in: .repeatHeads, dx.dtype, grid: (dx.count, 1, 1), block: 256, .tensor(dy),
        .tensor(dx), .long(dx.count), .int(times))
    } else {
      launch(
        "sum_heads", in: .repeatHeads, dx.dtype, grid: (dx.count.groups(of: 256), 1, 1), block: 256,
        .tensor(dy), .tensor(dx), .long(dx.count), .int(dim), .int(times))
    }
  }

  package func lrpeForward(
    _ x: Tensor, theta: Tensor, positions: Tensor, heads: Int, into y: Tensor
  ) {
    guard x.count > 0 else { return }
    launch(
      "lrpe_forward", in: .lrpe, x.dtype, grid: (x.count.groups(of: 256), 1, 1), block: 256,
      .tensor(x), .tensor(theta), .tensor(positions), .tensor(y), .long(x.count), .int(heads),
      .int(theta.columns), .int(theta.rows == 1 ? 1 : 0))
  }

  package func lrpeBackward(
    _ dy: Tensor, _ x: Tensor, theta: Tensor, positions: Tensor, heads: Int, dx: Tensor?,
    dTheta: Tensor?
  ) {
    let isShared = theta.rows == 1 ? 1 : 0
    if let dx, x.count > 0 {
      launch(
        "lrpe_backward", in: .lrpe, x.dtype, grid: (x.count.groups(of: 256), 1, 1), block: 256,
        .tensor(dy), .tensor(theta), .tensor(positions), .tensor(dx), .long(x.count), .int(heads),
        .int(theta.columns), .int(isShared))
    }
    if let dTheta, theta.count > 0 {
      launch(
        "lrpe_theta", in: .lrpe, x.dtype, grid: (theta.count, 1, 1), block: 256, .tensor(dy),
        .tensor(x), .tensor(theta), .tensor(positions), .tensor(dTheta), .long(x.rows),
        .int(heads), .int(theta.columns), .int(isShared))
    }
  }

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
