extension CUDABackend {
  package func sigmoidGateForward(_ x: Tensor, scores: Tensor, into y: Tensor) {
    guard x.count > 0 else { return }
    launch(
      "sigmoid_gate_forward", in: .sigmoidGate, x.dtype, grid: (x.rows, 1, 1),
      block: threads(forVectorsOf: x), .tensor(x), .tensor(floats(scores)), .tensor(y),
      .int(x.columns))
  }

  package func sigmoidGateBackward(
    _ dy: Tensor, _ x: Tensor, scores: Tensor, dx: Tensor, dScores: Tensor
  ) {
    precondition(dScores.dtype == .f32, "sigmoidGate: scores in \(dScores.dtype)")
    guard x.count > 0 else { return }
    launch(
      "sigmoid_gate_backward", in: .sigmoidGate, x.dtype, grid: (x.rows, 1, 1),
      block: threads(forVectorsOf: x), .tensor(dy), .tensor(x), .tensor(floats(scores)),
      .tensor(dx), .tensor(dScores), .int(x.columns))
  }
}
