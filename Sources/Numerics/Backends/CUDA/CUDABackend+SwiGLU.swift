extension CUDABackend {
  package func swigluForward(gate: Tensor, up: Tensor, into y: Tensor) {
    guard gate.count > 0 else { return }
    launch(
      "swiglu_forward", in: .swiglu, gate.dtype, grid: (gate.blocksOfVectors, 1, 1), block: 256,
      .tensor(gate), .tensor(up), .tensor(y), .long(gate.count))
  }

  package func swigluBackward(
    _ dy: Tensor, gate: Tensor, up: Tensor, dGate: (Tensor, accumulate: Bool)?,
    dUp: (Tensor, accumulate: Bool)?
  ) {
    guard gate.count > 0, dGate != nil || dUp != nil else { return }
    launch(
      "swiglu_backward", in: .swiglu, gate.dtype, grid: (gate.blocksOfVectors, 1, 1), block: 256,
      .tensor(dy), .tensor(gate), .tensor(up), .tensor(dGate?.0), .tensor(dUp?.0),
      .long(gate.count), .int(dGate?.accumulate == true ? 1 : 0),
      .int(dUp?.accumulate == true ? 1 : 0))
  }
}
