extension CUDABackend {
  package func thresholdForward(
    _ logits_TE: Tensor, experts_TK: Tensor, weights_TK: Tensor, threshold: Double,
    kept experts: Tensor, weights: Tensor, counts_E: Tensor
  ) {
    fillZero(counts_E)
    let slots = experts_TK.count
    guard slots > 0 else { return }
    launch(
      "threshold_forward", in: .routingThreshold, .f32, grid: (slots.groups(of: 256), 1, 1),
      block: 256, .tensor(logits_TE), .tensor(experts_TK), .tensor(weights_TK), .float(threshold),
      .tensor(experts), .tensor(weights), .tensor(counts_E), .long(slots),
      .int(logits_TE.columns), .int(experts_TK.columns))
  }

  package func thresholdBackward(
    _ dy_TK: Tensor, kept experts_TK: Tensor, into dWeights_TK: Tensor, accumulate: Bool
  ) {
    let slots = experts_TK.count
    guard slots > 0 else { return }
    launch(
      "threshold_backward", in: .routingThreshold, .f32, grid: (slots.groups(of: 256), 1, 1),
      block: 256, .tensor(dy_TK), .tensor(experts_TK), .tensor(dWeights_TK), .long(slots),
      .int(accumulate ? 1 : 0))
  }
}
