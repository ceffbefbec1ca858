extension CUDABackend {
  package func gatedForward(_ activation: Activation, gate: Tensor, up: Tensor?, into y: Tensor) {
    guard gate.count > 0 else { return }
    launch(
      "gated_forward", in: .gatedActivation, gate.dtype, grid: (gate.blocksOfVectors, 1, 1),
      block: 256, .tensor(gate), .tensor(up), .tensor(y), .long(gate.count),
      .int(activation.number))
  }

  package func gatedBackward(
    _ activation: Activation, _ dy: Tensor, gate: Tensor, up: Tensor?, dGate: Tensor?, dUp: Tensor?
  ) {
    guard gate.count > 0 else { return }
    launch(
      "gated_backward", in: .gatedActivation, gate.dtype, grid: (gate.blocksOfVectors, 1, 1),
      block: 256, .tensor(dy), .tensor(gate), .tensor(up), .tensor(dGate), .tensor(dUp),
      .long(gate.count), .int(activation.number))
  }

  package func softmaxForward(_ x: Tensor, into y: Tensor) {
    guard x.count > 0 else { return }
    launch(
      "softmax_forward", in: .softmax, x.dtype, grid: (x.rows.groups(of: 8), 1, 1), block: 256,
      .tensor(x), .tensor(y), .long(x.rows), .int(x.columns))
  }

  package func softmaxBackward(_ dy: Tensor, y: Tensor, dx: Tensor) {
    guard y.count > 0 else { return }
    launch(
      "softmax_backward", in: .softmax, y.dtype, grid: (y.rows.groups(of: 8), 1, 1), block: 256,
      .tensor(dy), .tensor(y), .tensor(dx), .long(y.rows), .int(y.columns))
  }
}

extension Activation {
  fileprivate var number: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}
