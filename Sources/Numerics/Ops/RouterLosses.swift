/// Kernels of the losses and updates that keep a router in shape.
package protocol RouterLossKernels {
  /// `loss = E · Σ_e (counts_e / slots) · mean_t probabilities_te`.
  func loadBalanceForward(
    _ probabilities_TE: Tensor, counts_E: Tensor, slots: Int, into loss: Tensor)
  /// `dProbabilities_te (+)= upstream · E · (counts_e / slots) / T`.
  func loadBalanceBackward(
    _ upstream: Tensor, counts_E: Tensor, slots: Int, into dProbabilities_TE: Tensor,
    accumulate: Bool)
  /// `loss = mean(lse²)` and the log-sum-exp of each row.
  func zLossForward(_ logits_TE: Tensor, logSumExp lse_T: Tensor, into loss: Tensor)
  /// `dLogits (+)= upstream · 2 / T · lse · softmax(logits)`.
  func zLossBackward(
    _ upstream: Tensor, _ logits_TE: Tensor, logSumExp lse_T: Tensor, into dLogits: Tensor,
    accumulate: Bool)
  /// `bias += rate · sign(mean(counts) - counts)`.
  func updateSelectionBias(_ bias_E: Tensor, counts_E: Tensor, rate: Double)
}

extension Context {
  /// `E · Σ_e f_e · P_e` (Fedus et al. 2021, eq. 4, for any number of choices): 1 when balanced.
  ///
  /// `f_e` is the share of the `rows · topK` slots that went to expert `e` and carries no gradient;
  /// `P_e` is the mean probability of `e` over tokens, through which the gradient flows. The shares
  /// sum to 1, or under a score threshold, whose dropped choices are not counted, to the part of the
  /// slots that was kept; a balanced load then costs that part.
  ///
  /// - Parameters:
  ///   - routing: Probabilities and counts of one layer.
  ///   - experts: Number of experts, `E`.
  ///   - topK: Experts per token.
  /// - Returns: A scalar.
  public func loadBalanceLoss(_ routing: Routing, experts: Int, topK: Int) -> Tensor {
    let probabilities = routing.probabilities_TE
    precondition(probabilities.columns == experts && routing.counts_E.count == experts)
    let slots = probabilities.rows * topK
    let loss = empty([], probabilities.dtype)
    backend.loadBalanceForward(
      probabilities, counts_E: routing.counts_E, slots: slots, into: loss)
    return record(
      loss, from: [probabilities],
      LoadBalanceNode(probabilities: probabilities, counts: routing.counts_E, slots: slots))
  }

  /// `mean_t(logsumexp_e(logits_te)²)`, which keeps router logits small (Zoph et al. 2022, eq. 5).
  public func routerZLoss(_ logits_TE: Tensor) -> Tensor {
    let lse_T = empty([logits_TE.rows], logits_TE.dtype)
    let loss = empty([], logits_TE.dtype)
    backend.zLossForward(logits_TE, logSumExp: lse_T, into: loss)
    return record(loss, from: [logits_TE], ZLossNode(logits: logits_TE, logSumExp: lse_T))
  }

  /// Moves the selection bias towards balance, in place: up by `rate` for experts below the mean
  /// count, down for those above (Wang et al. 2024, "Auxiliary-Loss-Free Load Balancing Strategy for
  /// Mixture-of-Experts", algorithm 1).
  public func updateSelectionBias(_ bias_E: Tensor, counts counts_E: Tensor, rate: Double) {
    precondition(bias_E.count == counts_E.count && counts_E.dtype == .i32)
    backend.updateSelectionBias(bias_E, counts_E: counts_E, rate: rate)
  }
}

private struct LoadBalanceNode: TapeNode {
  let probabilities: Tensor
  let counts: Tensor
  let slots: Int

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let upstream = gradients[0], let slot = probabilities.slot else { return }
    let (dProbabilities, accumulate) = context.gradientBuffer(for: slot, like: probabilities)
    context.backend.loadBalanceBackward(
      upstream, counts_E: counts, slots: slots,
      into: dProbabilities.reshaped(probabilities.shape), accumulate: accumulate)
  }
}

private struct ZLossNode: TapeNode {
  let logits: Tensor
  let logSumExp: Tensor

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let upstream = gradients[0], let slot = logits.slot else { return }
    let (dLogits, accumulate) = context.gradientBuffer(for: slot, like: logits)
    context.backend.zLossBackward(
      upstream, logits, logSumExp: logSumExp, into: dLogits, accumulate: accumulate)
  }
}
