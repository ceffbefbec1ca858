extension Context {
  /// Linear attention by the delta rule: a token replaces a share `beta` of what the state holds for its
  /// key, where ``linearAttention(query:key:value:heads:scale:decay:documentOffsets:initialState:)`` adds to
  /// it. Per document and head, with a state `S` of `d × e`,
  ///
  ///     S' = decay_t · S_(t-1)     S_t = S' + beta_t k_tᵀ (v_t - k_t S')     o_t = scale · q_t S_t
  ///
  /// (Yang et al. 2024, "Parallelizing Linear Transformers with the Delta Rule over Sequence Length", eq. 1;
  /// with a decay per head Yang et al. 2025, "Gated Delta Networks", eq. 10). `S'` shrinks along a key by
  /// `1 - beta |k|²`: keys longer than `√(2 / beta)` let it grow without bound. Works token by token.
  ///
  /// - Parameters:
  ///   - query: `[T, heads · d]`, `1 ≤ d ≤ 256`.
  ///   - key: `[T, heads · d]`.
  ///   - value: `[T, heads · e]`, `1 ≤ e ≤ 256`.
  ///   - beta: What share of the old value is replaced, `[T, heads]`, of the activations' type.
  ///   - scale: Factor on the output.
  ///   - decay: What is left of the state from token to token, the same for all value channels.
  ///   - documentOffsets: First row of every document and, last, `T`, ascending, `[N + 1]`, `i32`; `nil`:
  ///     one document. Documents may be empty.
  ///   - initialState: The states before the documents' first tokens, `[N, heads, d, e]`, `f32`
  ///     (`f64` for `f64` activations); `nil`: zeros.
  /// - Returns: `[T, heads · e]`, and the states after the documents' last tokens. Gradients flow to every
  ///   operand, from both.
  public func deltaRule(
    query: Tensor, key: Tensor, value: Tensor, beta: Tensor, heads: Int, scale: Double,
    decay: LinearAttentionDecay = .none, documentOffsets: Tensor? = nil,
    initialState: Tensor? = nil
  ) -> (output: Tensor, finalState: Tensor) {
    let attention = LinearAttentionProblem(
      query: query, key: key, value: value, decay: decay, documentOffsets: documentOffsets,
      initialState: initialState, heads: heads, scale: scale)
    let problem = DeltaRuleProblem(attention: attention, beta: beta)
    problem.check("deltaRule")
    let output = empty([query.rows, value.columns], query.dtype)
    let finalState = empty(attention.stateShape, attention.stateType)
    backend.deltaRuleForward(problem, into: output, finalState: finalState)
    let outputs = record(
      [output, finalState], from: [query, key, value, beta, decay.tensor, initialState],
      DeltaRuleNode(problem: problem))
    return (outputs[0], outputs[1])
  }

  /// One more token for each of `N` documents: what ``deltaRule(query:key:value:beta:heads:scale:decay:documentOffsets:initialState:)``
  /// gives for documents of one token, without recording and with the states changed in place.
  ///
  /// - Parameters:
  ///   - query: `[N, heads · d]`; keys, values, log-decays and `beta`, `[N, heads]`, likewise.
  ///   - state: `[N, heads, d, e]`, `f32` (`f64` for `f64` activations).
  /// - Returns: `[N, heads · e]`.
  public func deltaRuleStep(
    query: Tensor, key: Tensor, value: Tensor, beta: Tensor, heads: Int, scale: Double,
    decay: LinearAttentionDecay = .none, state: Tensor
  ) -> Tensor {
    let attention = LinearAttentionProblem(
      query: query, key: key, value: value, decay: decay.detached(), heads: heads, scale: scale)
    let problem = DeltaRuleProblem(attention: attention, beta: beta.detached())
    problem.check("deltaRuleStep")
    precondition(
      state.shape == [query.rows] + attention.stateShape.dropFirst()
        && state.dtype == attention.stateType,
      "deltaRuleStep: a state of \(state.shape) in \(state.dtype) for \(query.rows) rows")
    let output = empty([query.rows, value.columns], query.dtype)
    backend.deltaRuleStep(problem, state: state, into: output)
    return output
  }
}

/// One call of the delta rule.
package struct DeltaRuleProblem: Sendable {
  /// All operands that linear attention has too.
  package var attention: LinearAttentionProblem
  /// `[T, heads]`.
  package var beta: Tensor

  /// Stops the program on operands that do not fit together.
  fileprivate func check(_ name: String) {
    attention.check(name)
    precondition(
      beta.shape == [attention.tokens, attention.heads] && beta.dtype == attention.query.dtype,
      "\(name): beta \(beta.shape) in \(beta.dtype) for \(attention.heads) heads")
    precondition(
      attention.decay.valueTensor == nil, "\(name): a decay of value channels does not go with it")
  }
}

/// Kernels of the delta rule, conventions as in ``LinearAttentionKernels``.
package protocol DeltaRuleKernels {
  func deltaRuleForward(_ problem: DeltaRuleProblem, into output: Tensor, finalState: Tensor)
  /// Sets `gradients` and `dBeta`.
  func deltaRuleBackward(
    _ problem: DeltaRuleProblem, dOutput: Tensor, dFinalState: Tensor?,
    into gradients: LinearAttentionGradients, dBeta: Tensor)
  /// Row `n` continues the document whose state is `state[n]`; the states change in place.
  func deltaRuleStep(_ problem: DeltaRuleProblem, state: Tensor, into output: Tensor)
}

private struct DeltaRuleNode: TapeNode {
  let problem: DeltaRuleProblem

  func backward(_ gradients: [Tensor?], in context: Context) {
    let (attention, beta) = (problem.attention, problem.beta)
    let dOutput = gradients[0] ?? context.zeros(attention.value.shape, attention.value.dtype)
    let result = attention.makeGradients(in: context)
    let dBeta = context.empty(beta.shape, beta.dtype)
    context.backend.deltaRuleBackward(
      problem, dOutput: dOutput, dFinalState: gradients[1], into: result, dBeta: dBeta)
    attention.accumulate(result, in: context)
    context.accumulate(dBeta, into: beta.slot)
  }
}
