/// How the weights of a token's chosen experts follow from its router logits.
public enum Combination: Sendable, Equatable {
  /// `scale ·` softmax over the chosen experts' logits: the weights sum to `scale`. With one chosen
  /// expert they are constant, so no gradient reaches the router through them.
  case renormalizedSoftmax(scale: Double)
  /// `scale ·` softmax over all experts' logits, not renormalised over the chosen.
  case softmax(scale: Double)
  /// `1 + p · u` with `p` the softmax over all experts and `u` a trained gain per expert.
  case gained
  /// The same constant for every chosen expert.
  case uniform(weight: Double)
  /// `scale · sigmoid(logit)`; experts are chosen by the sigmoid too (plus the selection bias).
  case sigmoid(scale: Double)
  /// `scale ·` the sigmoid over the sum of the chosen experts' sigmoids (DeepSeek-AI 2024,
  /// "DeepSeek-V3 Technical Report", eq. 13 to 16): the weights sum to `scale`. As with
  /// ``renormalizedSoftmax(scale:)`` no gradient flows through them where one expert is chosen.
  case renormalizedSigmoid(scale: Double)
}

/// Kernels of expert selection.
package protocol RoutingKernels {
  /// Fills every output; selection is by `logits + selectionBias`, or by sigmoids plus the bias where
  /// the combination is of sigmoids; ties go to the lower id.
  func routeForward(
    _ logits_TE: Tensor, selectionBias: Tensor?, combination: Combination, gain: Tensor?,
    experts_TK: Tensor, weights_TK: Tensor, probabilities_TE: Tensor, counts_E: Tensor)
  /// Adds to or sets `dLogits`; always adds to `dGain`. Either may be absent.
  func routeBackward(
    _ logits_TE: Tensor, dWeights: Tensor?, dProbabilities: Tensor?, combination: Combination,
    gain: Tensor?, experts_TK: Tensor, weights_TK: Tensor, probabilities_TE: Tensor,
    dLogits: (Tensor, accumulate: Bool)?, dGain: Tensor?)
}

/// Which experts each token goes to, and with which weights.
public struct Routing {
  /// The chosen experts, best first, `[T, K]` `i32`; -1 for a choice dropped by a threshold.
  public let experts_TK: Tensor
  /// Their combination weights, `[T, K]`; differentiable.
  public let weights_TK: Tensor
  /// Softmax of the logits over all experts, or their sigmoids over the sum of them where the
  /// combination is of sigmoids, `[T, E]`; differentiable.
  public let probabilities_TE: Tensor
  /// The router logits, `[T, E]`.
  public let logits_TE: Tensor
  /// How many tokens chose each expert, `[E]` `i32`.
  public let counts_E: Tensor
  /// Whether some choices may be expert -1, which is none.
  var isPartial = false
}

extension Context {
  /// Chooses `topK` experts per token.
  ///
  /// - Parameters:
  ///   - logits_TE: Router logits, `[T, E]`.
  ///   - selectionBias: Added to the logits (or sigmoids) for the choice only (Wang et al. 2024, "Auxiliary-Loss-
  ///     Free Load Balancing Strategy for Mixture-of-Experts"), `[E]`; never differentiated.
  ///   - topK: Experts per token, `1...E`. Ties go to the lower expert id.
  ///   - combination: How weights follow from the unbiased logits.
  ///   - gain: `u` of ``Combination/gained``, `[E]`; not used otherwise.
  public func route(
    _ logits_TE: Tensor, selectionBias: Tensor? = nil, topK: Int, combination: Combination,
    gain: Tensor? = nil
  ) -> Routing {
    let (tokens, experts) = (logits_TE.rows, logits_TE.columns)
    precondition((1...experts).contains(topK), "route: \(topK) of \(experts) experts")
    precondition(selectionBias.map { $0.count == experts && $0.dtype == logits_TE.dtype } ?? true)
    let gain = combination == .gained ? gain : nil
    precondition((combination == .gained) == (gain?.count == experts), "route: gain of \(experts)")
    let dtype = logits_TE.dtype
    let experts_TK = empty([tokens, topK], .i32)
    let weights_TK = empty([tokens, topK], dtype)
    let probabilities_TE = empty([tokens, experts], dtype)
    let counts_E = empty([experts], .i32)
    backend.routeForward(
      logits_TE, selectionBias: selectionBias, combination: combination, gain: gain,
      experts_TK: experts_TK, weights_TK: weights_TK, probabilities_TE: probabilities_TE,
      counts_E: counts_E)
    let outputs = record(
      [weights_TK, probabilities_TE], from: [logits_TE, gain],
      RoutingNode(
        logits: logits_TE, gain: gain, combination: combination, experts: experts_TK,
        weights: weights_TK, probabilities: probabilities_TE))
    return Routing(
      experts_TK: experts_TK, weights_TK: outputs[0], probabilities_TE: outputs[1],
      logits_TE: logits_TE, counts_E: counts_E)
  }
}

private struct RoutingNode: TapeNode {
  let logits: Tensor
  let gain: Tensor?
  let combination: Combination
  let experts: Tensor
  let weights: Tensor
  let probabilities: Tensor

  func backward(_ gradients: [Tensor?], in context: Context) {
    let dLogits = logits.slot.map { context.gradientBuffer(for: $0, like: logits) }
    var dGain: Tensor?
    if let gain, let slot = gain.slot {
      let (buffer, accumulate) = context.gradientBuffer(for: slot, like: gain)
      if !accumulate { context.backend.fillZero(buffer) }
      dGain = buffer
    }
    context.backend.routeBackward(
      logits, dWeights: gradients[0], dProbabilities: gradients[1], combination: combination,
      gain: gain, experts_TK: experts, weights_TK: weights, probabilities_TE: probabilities,
      dLogits: dLogits.map { ($0.0, accumulate: $0.1) }, dGain: dGain)
  }
}
