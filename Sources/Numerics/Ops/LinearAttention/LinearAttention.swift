extension Context {
  /// Linear attention: per document and head, with a state `S` of `d × e`,
  ///
  ///     S_t = decay_t · S_(t-1) + k_tᵀ v_t        o_t = scale · q_t S_t
  ///
  /// so that a token's own key and value have weight 1 (Qin et al. 2024, "Various Lengths, Constant
  /// Speed in Language Modeling with Lightning Attention"). Time and memory grow with `T`.
  ///
  /// - Parameters:
  ///   - query: `[T, heads · d]`, `1 ≤ d ≤ 256`.
  ///   - key: `[T, heads · d]`.
  ///   - value: `[T, heads · e]`, `1 ≤ e ≤ 256`.
  ///   - scale: Factor on the output.
  ///   - decay: What is left of the state from token to token; gradients flow to its tensor.
  ///   - documentOffsets: First row of every document and, last, `T`, ascending, `[N + 1]`, `i32`
  ///     (``SequenceLayout/documentOffsets``); `nil`: one document. Documents may be empty.
  ///   - initialState: The states before the documents' first tokens, `[N, heads, d, e]`, `f32`
  ///     (`f64` for `f64` activations); `nil`: zeros.
  /// - Returns: `[T, heads · e]`, and the states after the documents' last tokens: an initial state
  ///   for what follows.
  public func linearAttention(
    query: Tensor, key: Tensor, value: Tensor, heads: Int, scale: Double,
    decay: LinearAttentionDecay = .none, documentOffsets: Tensor? = nil,
    initialState: Tensor? = nil
  ) -> (output: Tensor, finalState: Tensor) {
    let problem = LinearAttentionProblem(
      query: query, key: key, value: value, decay: decay, documentOffsets: documentOffsets,
      initialState: initialState, heads: heads, scale: scale)
    problem.check("linearAttention")
    let output = empty([query.rows, value.columns], query.dtype)
    let finalState = empty(problem.stateShape, problem.stateType)
    backend.linearAttentionForward(problem, into: output, finalState: finalState)
    let outputs = record(
      [output, finalState],
      from: [query, key, value, decay.tensor, decay.valueTensor, initialState],
      LinearAttentionNode(problem: problem))
    return (outputs[0], outputs[1])
  }

  /// One more token for each of `N` documents: what ``linearAttention(query:key:value:heads:scale:decay:documentOffsets:initialState:)``
  /// gives for documents of one token, without recording and with the states changed in place.
  ///
  /// - Parameters:
  ///   - query: `[N, heads · d]`; keys, values and log-decays likewise.
  ///   - state: `[N, heads, d, e]`, `f32` (`f64` for `f64` activations).
  /// - Returns: `[N, heads · e]`.
  public func linearAttentionStep(
    query: Tensor, key: Tensor, value: Tensor, heads: Int, scale: Double,
    decay: LinearAttentionDecay = .none, state: Tensor
  ) -> Tensor {
    let problem = LinearAttentionProblem(
      query: query, key: key, value: value, decay: decay.detached(), heads: heads, scale: scale)
    problem.check("linearAttentionStep")
    precondition(
      state.shape == [query.rows] + problem.stateShape.dropFirst()
        && state.dtype == problem.stateType,
      "linearAttentionStep: a state of \(state.shape) in \(state.dtype) for \(query.rows) rows")
    let output = empty([query.rows, value.columns], query.dtype)
    backend.linearAttentionStep(problem, state: state, into: output)
    return output
  }
}

private struct LinearAttentionNode: TapeNode {
  let problem: LinearAttentionProblem

  func backward(_ gradients: [Tensor?], in context: Context) {
    let dOutput = gradients[0] ?? context.zeros(problem.value.shape, problem.value.dtype)
    let result = problem.makeGradients(in: context)
    context.backend.linearAttentionBackward(
      problem, dOutput: dOutput, dFinalState: gradients[1], into: result)
    problem.accumulate(result, in: context)
  }
}
