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

}

extension Activation {
  fileprivate var number: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}
