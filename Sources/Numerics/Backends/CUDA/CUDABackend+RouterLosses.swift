extension CUDABackend {
  package func loadBalanceForward(
    _ probabilities_TE: Tensor, counts_E: Tensor, slots: Int, into loss: Tensor
  ) {
    let (tokens, experts) = (probabilities_TE.rows, probabilities_TE.columns)
    // Fixed by the size alone, so that sums do not depend on the GPU.
    let parts = min(256, tokens.groups(of: 8))
    let partial = scratch([max(1, parts)], .f64)
    if parts > 0 {
      launch(
        "load_balance_partial", in: .routerLosses, .f32, grid: (parts, 1, 1), block: 256,
        shared: experts * 4, .tensor(probabilities_TE), .tensor(counts_E), .tensor(partial),
        .long(tokens), .int(experts), .int(slots))
    }
    launch(
      "load_balance_finish", in: .routerLosses, .f32, grid: (1, 1, 1), block: 256,
      .tensor(partial), .int(parts), .long(tokens), .int(experts), .tensor(loss))
  }

  package func loadBalanceBackward(
    _ upstream: Tensor, counts_E: Tensor, slots: Int, into dProbabilities_TE: Tensor,
    accumulate: Bool
  ) {
    let count = dProbabilities_TE.count
    guard count > 0 else { return }
    launch(
      "load_balance_backward", in: .routerLosses, .f32, grid: (count.groups(of: 256), 1, 1),
      block: 256, .tensor(floats(upstream)), .tensor(counts_E), .int(slots),
      .tensor(dProbabilities_TE), .long(dProbabilities_TE.rows), .int(dProbabilities_TE.columns),
      .int(accumulate ? 1 : 0))
  }

  package func zLossForward(_ logits_TE: Tensor, logSumExp lse_T: Tensor, into loss: Tensor) {
    let tokens = logits_TE.rows
    if tokens > 0 {
      launch(
        "log_sum_exp", in: .routerLosses, .f32, grid: (tokens.groups(of: 8), 1, 1), block: 256,
        .tensor(logits_TE), .tensor(lse_T), .long(tokens), .int(logits_TE.columns))
    }
    launch(
      "mean_square", in: .routerLosses, .f32, grid: (1, 1, 1), block: 1024, .tensor(lse_T),
      .tensor(loss), .long(tokens))
  }

  package func zLossBackward(
    _ upstream: Tensor, _ logits_TE: Tensor, logSumExp lse_T: Tensor, into dLogits: Tensor,
    accumulate: Bool
  ) {
    let count = logits_TE.count
    guard count > 0 else { return }
    launch(
      "z_loss_backward", in: .routerLosses, .f32, grid: (count.groups(of: 256), 1, 1), block: 256,
      .tensor(floats(upstream)), .tensor(logits_TE), .tensor(lse_T), .tensor(dLogits),
      .long(logits_TE.rows), .int(logits_TE.columns), .int(accumulate ? 1 : 0))
  }

  package func updateSelectionBias(_ bias_E: Tensor, counts_E: Tensor, rate: Double) {
    precondition(bias_E.dtype == .f32, "selection bias in \(bias_E.dtype)")
    guard bias_E.count > 0 else { return }
    launch(
      "update_selection_bias", in: .routerLosses, .f32, grid: (1, 1, 1), block: 256,
      .tensor(bias_E), .tensor(counts_E), .float(rate), .int(bias_E.count))
  }
}
