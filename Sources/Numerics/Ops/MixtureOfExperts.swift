/// Kernels of a layer of SwiGLU experts.
package protocol MixtureOfExpertsKernels {
  /// Columns of what forward keeps for backward: at least the experts' width.
  func savedWidth(of experts: ExpertWeights, for x_TD: Tensor) -> Int
  /// Fills `y_TD`; with `saved`, also keeps the gate and up projections, `[T · K, savedWidth]`
  /// each, in the dispatch's order.
  func mixtureForward(
    _ x_TD: Tensor, _ experts: ExpertWeights, _ dispatch: ExpertDispatch, weights_TK: Tensor,
    into y_TD: Tensor, saved: (gate: Tensor, up: Tensor)?)
  /// Overwrites what forward saved.
  func mixtureBackward(
    _ dy_TD: Tensor, _ x_TD: Tensor, _ experts: ExpertWeights, _ dispatch: ExpertDispatch,
    weights_TK: Tensor, saved: (gate: Tensor, up: Tensor), into gradients: MixtureGradients)
}

/// The weights of a layer's experts: gate and up `[E, I, D]`, down `[E, D, I]`.
package struct ExpertWeights {
  package let gate: Tensor
  package let up: Tensor
  package let down: Tensor

  package var count: Int { gate.shape[0] }
  /// Neurons per expert, `I`.
  package var width: Int { gate.shape[1] }
}

/// Where a mixture's gradients go; absent ones are not computed.
package struct MixtureGradients {
  package typealias Target = (buffer: Tensor, accumulate: Bool)
  package var x: Target?
  package var gate: Target?
  package var up: Target?
  package var down: Target?
  package var weights: Target?
}

extension Context {
  /// `y_t = Σ_k w_tk · W_down (silu(W_gate x_t) ⊙ W_up x_t)` over the experts each token goes to
  /// (Shazeer et al. 2017, eq. 1, with the experts of Shazeer 2020).
  ///
  /// Gathering, the grouped products, the activation and the weighted sum are one operation, and no
  /// token is dropped or padded. It keeps the gate and up projections for backward, which is
  /// `2 · T · K · I` values: splitting a layer into more, narrower experts leaves that unchanged.
  ///
  /// - Parameters:
  ///   - x_TD: Tokens, `[T, D]`.
  ///   - gate: Gate projections, `[E, I, D]`; all three may be 16-bit, with `f32` gradients.
  ///   - up: Up projections, `[E, I, D]`.
  ///   - down: Down projections, `[E, D, I]`.
  ///   - dispatch: The tokens grouped by expert.
  ///   - weights: Combination weights, `[T, K]`.
  /// - Returns: `[T, D]`; gradients flow to `x_TD`, the projections and the weights.
  public func mixtureOfExperts(
    _ x_TD: Tensor, gate: Tensor, up: Tensor, down: Tensor, dispatch: ExpertDispatch,
    weights: Tensor
  ) -> Tensor {
    let (model, slots) = (x_TD.columns, dispatch.order.count)
    let experts = ExpertWeights(gate: gate, up: up, down: down)
    precondition(gate.shape.count == 3 && gate.shape[2] == model, "gate \(gate.shape)")
    precondition(up.shape == gate.shape && up.dtype == gate.dtype, "up \(up.shape)")
    precondition(down.shape == [experts.count, model, experts.width], "down \(down.shape)")
    precondition(down.dtype == gate.dtype)
    precondition(weights.count == slots && weights.rows == x_TD.rows, "weights \(weights.shape)")
    precondition(
      dispatch.offsets.count == experts.count + 1 && weights.dtype == x_TD.dtype.statistic)
    let y_TD = empty(x_TD.shape, x_TD.dtype)
    let isRecorded =
      tape != nil && [x_TD, gate, up, down, weights].contains { $0.requiresGradient }
    let width = backend.savedWidth(of: experts, for: x_TD)
    func projection() -> Tensor { empty([slots, width], x_TD.dtype) }
    let saved = isRecorded ? (gate: projection(), up: projection()) : nil
    backend.mixtureForward(
      x_TD, experts, dispatch, weights_TK: weights, into: y_TD, saved: saved)
    return record(
      y_TD, from: [x_TD, gate, up, down, weights],
      MixtureNode(
        x: x_TD, experts: experts, dispatch: dispatch, weights: weights, saved: saved))
  }
}

private struct MixtureNode: TapeNode {
  let x: Tensor
  let experts: ExpertWeights
  let dispatch: ExpertDispatch
  let weights: Tensor
  let saved: (gate: Tensor, up: Tensor)?

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0], let saved else { return }
    func target(_ tensor: Tensor, as type: DType? = nil) -> MixtureGradients.Target? {
      tensor.slot.map { context.gradientBuffer(for: $0, like: tensor, as: type) }
    }
    let type = experts.gate.dtype.statistic
    context.backend.mixtureBackward(
      dy, x, experts, dispatch, weights_TK: weights, saved: saved,
      into: MixtureGradients(
        x: target(x), gate: target(experts.gate, as: type), up: target(experts.up, as: type),
        down: target(experts.down, as: type), weights: target(weights)))
  }
}
