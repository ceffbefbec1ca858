import CKernels

extension CPUBackend {
  package func loadBalanceForward(
    _ probabilities_TE: Tensor, counts_E: Tensor, slots: Int, into loss: Tensor
  ) {
    let shares = slotShares(counts_E, slots: slots, scale: 1, probabilities_TE.dtype)
    let (tokens, experts) = (probabilities_TE.rows, probabilities_TE.columns)
    let dot = kernels(probabilities_TE.dtype).dot
    var total = 0.0
    for token in 0..<tokens {
      total += dot?(probabilities_TE.pointer(at: token * experts), shares.pointer, experts) ?? 0
    }
    upload([total * Double(experts) / Double(max(1, tokens))], into: loss)
  }

  package func loadBalanceBackward(
    _ upstream: Tensor, counts_E: Tensor, slots: Int, into dProbabilities_TE: Tensor,
    accumulate: Bool
  ) {
    let (tokens, experts) = (dProbabilities_TE.rows, dProbabilities_TE.columns)
    let scale = downloadDoubles(upstream)[0] * Double(experts) / Double(max(1, tokens))
    let slope_E = slotShares(counts_E, slots: slots, scale: scale, dProbabilities_TE.dtype)
    let table = kernels(dProbabilities_TE.dtype)
    for token in 0..<tokens {
      let row = dProbabilities_TE.pointer(at: token * experts)
      if accumulate {
        table.axpy(1, slope_E.pointer, row, experts)
      } else {
        table.scale(1, slope_E.pointer, row, experts)
      }
    }
  }

  /// `scale · counts / slots`.
  private func slotShares(_ counts_E: Tensor, slots: Int, scale: Double, _ dtype: DType) -> Tensor {
    let shares = scratch(counts_E.shape, dtype)
    let counts = UnsafeBufferPointer(start: counts_E.integers, count: counts_E.count)
    upload(counts.map { scale * Double($0) / Double(max(1, slots)) }, into: shares)
    return shares
  }

  package func zLossForward(_ logits_TE: Tensor, logSumExp lse_T: Tensor, into loss: Tensor) {
    let experts = logits_TE.columns
    let kernel = kernels(logits_TE.dtype).log_sum_exp
    pool.forRanges(logits_TE.rows, minimum: max(1, parallelGrain / 8 / experts)) { rows in
      let i = rows.lowerBound
      kernel?(logits_TE.pointer(at: i * experts), lse_T.pointer(at: i), rows.count, experts)
    }
    upload([sumOfSquares(lse_T) / Double(max(1, lse_T.count))], into: loss)
  }

  package func zLossBackward(
    _ upstream: Tensor, _ logits_TE: Tensor, logSumExp lse_T: Tensor, into dLogits: Tensor,
    accumulate: Bool
  ) {
    let experts = logits_TE.columns
    let alpha = 2 * downloadDoubles(upstream)[0] / Double(max(1, lse_T.count))
    let kernel = kernels(logits_TE.dtype).z_loss_backward
    pool.forRanges(logits_TE.rows, minimum: max(1, parallelGrain / 8 / experts)) { rows in
      let i = rows.lowerBound
      kernel?(
        alpha, logits_TE.pointer(at: i * experts), lse_T.pointer(at: i),
        dLogits.pointer(at: i * experts), rows.count, experts, accumulate ? 1 : 0)
    }
  }

  package func updateSelectionBias(_ bias_E: Tensor, counts_E: Tensor, rate: Double) {
    let counts = UnsafeBufferPointer(start: counts_E.integers, count: counts_E.count)
    let total = counts.reduce(0) { $0 + Int($1) }
    // Compared as integers: count · E with the total, so that equality is exact.
    let moved = zip(downloadDoubles(bias_E), counts).map { bias, count in
      bias + rate * Double((total - Int(count) * counts.count).signum())
    }
    upload(moved, into: bias_E)
  }
}
