import CKernels

extension CPUBackend {
  package func deltaRuleForward(
    _ problem: DeltaRuleProblem, into output: Tensor, finalState: Tensor
  ) {
    let attention = problem.attention
    if let initialState = attention.initialState {
      copy(initialState, into: finalState)
    } else {
      fillZero(finalState)
    }
    let table = kernels(attention.query.dtype)
    run(hk_delta_rule(problem, output: output), attention) { kernel, span, head, work in
      let place = (span.document * attention.heads + head) * attention.stateSize
      table.delta_rule_forward(
        kernel, head, span.start, span.end, finalState.pointer(at: place), work)
    }
  }

  package func deltaRuleBackward(
    _ problem: DeltaRuleProblem, dOutput: Tensor, dFinalState: Tensor?,
    into gradients: LinearAttentionGradients, dBeta: Tensor
  ) {
    let attention = problem.attention
    let (heads, dtype) = (attention.heads, attention.query.dtype)
    // Documents without tokens hand their gradient on.
    let dStates = gradients.initialState ?? scratch(attention.stateShape, dtype)
    if let dFinalState { copy(dFinalState, into: dStates) } else { fillZero(dStates) }
    let initial = attention.initialState ?? scratch([attention.stateSize], dtype)
    if attention.initialState == nil { fillZero(initial) }
    let areas = [
      scratch(attention.value.shape, dtype), scratch(attention.value.shape, dtype),
    ]
    let kernel = hk_delta_rule(
      problem, dOutput: dOutput, gradients: gradients, dBeta: dBeta, residual: areas[0],
      dUpdate: areas[1])
    let wantsSlopes = gradients.decay != nil && kernel.attention.log_decay == nil
    let dSlopes = scratch([max(1, attention.documents) * heads], .f64)
    fillZero(dSlopes)
    let table = kernels(dtype)
    withExtendedLifetime(areas) {
      run(kernel, attention) { kernel, span, head, work in
        let place = span.document * heads + head
        let state = attention.initialState == nil ? 0 : place * attention.stateSize
        table.delta_rule_backward(
          kernel, head, span.start, span.end, initial.pointer(at: state),
          dStates.pointer(at: place * attention.stateSize),
          wantsSlopes ? dSlopes.doubles + place : nil, work)
      }
    }
    guard wantsSlopes, let dDecay = gradients.decay else { return }
    let sums = (0..<heads).map { head in
      (0..<attention.documents).reduce(0.0) { $0 + dSlopes.doubles[$1 * heads + head] }
    }
    upload(sums, into: dDecay)
  }

  package func deltaRuleStep(_ problem: DeltaRuleProblem, state: Tensor, into output: Tensor) {
    let attention = problem.attention
    let (heads, size) = (attention.heads, attention.stateSize)
    let table = kernels(attention.query.dtype)
    withUnsafePointer(to: hk_delta_rule(problem, output: output)) { kernel in
      pool.forRanges(attention.tokens * heads, minimum: max(1, parallelGrain / size)) { range in
        for index in range {
          table.delta_rule_step(
            kernel, index % heads, index / heads, state.pointer(at: index * size))
        }
      }
    }
  }

  /// Runs a kernel over all heads of all documents that have tokens, with a work area for each.
  private func run(
    _ kernel: hk_delta_rule, _ attention: LinearAttentionProblem,
    _ body: (
      UnsafePointer<hk_delta_rule>, LinearAttentionSpans.Span, _ head: Int,
      UnsafeMutableRawPointer
    ) -> Void
  ) {
    // A part of a document would have to know its whole state: documents stay whole.
    let spans = LinearAttentionSpans(attention, threads: 1)
    withUnsafePointer(to: kernel) { kernel in
      let size = hk_delta_rule_scratch(kernel)
      pool.run(spans.count * attention.heads) { index in
        let work = scratch([size], attention.query.dtype)
        body(
          kernel, spans[index / attention.heads], index % attention.heads, work.pointer)
      }
    }
  }
}

extension hk_delta_rule {
  fileprivate init(
    _ problem: DeltaRuleProblem, output: Tensor? = nil, dOutput: Tensor? = nil,
    gradients: LinearAttentionGradients? = nil, dBeta: Tensor? = nil, residual: Tensor? = nil,
    dUpdate: Tensor? = nil
  ) {
    self.init(
      attention: hk_linear_attention(
        problem.attention, output: output, dOutput: dOutput, gradients: gradients),
      beta: UnsafeRawPointer(problem.beta.pointer), dbeta: dBeta?.pointer,
      residual: residual?.pointer, dupdate: dUpdate?.pointer)
  }
}
