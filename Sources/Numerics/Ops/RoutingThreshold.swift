/// Kernels that drop choices with low scores.
package protocol RoutingThresholdKernels {
  /// Copies choices and weights, those after the first whose score is below `threshold` (or not a
  /// number) as expert -1 with weight 0, and counts the others.
  func thresholdForward(
    _ logits_TE: Tensor, experts_TK: Tensor, weights_TK: Tensor, threshold: Double,
    kept experts: Tensor, weights: Tensor, counts_E: Tensor)
  /// `dWeights (+)= dy` where an expert was kept, else `(+) 0`.
  func thresholdBackward(
    _ dy_TK: Tensor, kept experts_TK: Tensor, into dWeights_TK: Tensor, accumulate: Bool)
}

extension Context {
  /// `routing` without the choices, after each token's first, whose score is below `threshold`: the
  /// number of experts varies from token to token (after Szatkowski et al. 2024, "Exploiting
  /// Activation Sparsity with Dense to Dynamic-k Mixture-of-Experts Conversion", section 3.3, with
  /// one threshold for all tokens). Dropped choices are expert -1 and weigh nothing; no work is done
  /// for them.
  ///
  /// - Parameter routing: Of a combination whose weights do not depend on which others are chosen.
  public func keeping(_ routing: Routing, atLeast threshold: Double) -> Routing {
    precondition(!routing.isPartial, "keeping: choices were dropped already")
    let (chosen, weighed) = (routing.experts_TK, routing.weights_TK)
    let experts_TK = empty(chosen.shape, .i32)
    let weights_TK = empty(weighed.shape, weighed.dtype)
    let counts_E = empty(routing.counts_E.shape, .i32)
    backend.thresholdForward(
      routing.logits_TE, experts_TK: chosen, weights_TK: weighed, threshold: threshold,
      kept: experts_TK, weights: weights_TK, counts_E: counts_E)
    let kept = record(
      weights_TK, from: [weighed], RoutingThresholdNode(weights: weighed, kept: experts_TK))
    return Routing(
      experts_TK: experts_TK, weights_TK: kept, probabilities_TE: routing.probabilities_TE,
      logits_TE: routing.logits_TE, counts_E: counts_E, isPartial: true)
  }
}

private struct RoutingThresholdNode: TapeNode {
  let weights: Tensor
  let kept: Tensor

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0], let slot = weights.slot else { return }
    let (dWeights, accumulate) = context.gradientBuffer(for: slot, like: weights)
    context.backend.thresholdBackward(dy, kept: kept, into: dWeights, accumulate: accumulate)
  }
}
