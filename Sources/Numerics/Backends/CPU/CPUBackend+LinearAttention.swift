import CKernels
import Glibc

extension CPUBackend {
  package func linearAttentionForward(
    _ problem: LinearAttentionProblem, into output: Tensor, finalState: Tensor
  ) {
    if let initialState = problem.initialState {
      copy(initialState, into: finalState)
    } else {
      fillZero(finalState)
    }
    let spans = LinearAttentionSpans(problem, threads: problem.threads(of: pool.threads))
    let kernel = hk_linear_attention(problem, output: output)
    guard spans.areSplit else {
      return forward(kernel, spans, problem) { span, head in
        finalState.pointer(at: (spans[span].document * problem.heads + head) * problem.stateSize)
      }
    }
    let states = incomingStates(problem, spans)
    forward(kernel, spans, problem) { span, head in
      states.pointer(at: (span * problem.heads + head) * problem.stateSize)
    }
    for (index, span) in spans.enumerated() where span.isLast {
      memcpy(
        finalState.pointer(at: span.document * problem.heads * problem.stateSize),
        states.pointer(at: index * problem.heads * problem.stateSize),
        problem.heads * problem.stateSize * states.dtype.byteCount)
    }
  }

  /// Runs the forward kernel over all spans and heads; the states move in place.
  private func forward(
    _ kernel: hk_linear_attention, _ spans: LinearAttentionSpans, _ problem: LinearAttentionProblem,
    state: (Int, Int) -> UnsafeMutableRawPointer
  ) {
    let table = kernels(problem.query.dtype)
    withUnsafePointer(to: kernel) { kernel in
      let size = hk_linear_attention_forward_scratch(kernel)
      pool.run(spans.count * problem.heads) { index in
        let (span, head) = (index / problem.heads, index % problem.heads)
        let work = scratch([size], problem.query.dtype)
        table.linear_attention_forward(
          kernel, head, spans[span].start, spans[span].end, state(span, head), nil, work.pointer)
      }
    }
  }

  /// The states before every span, `[spans, heads, d, e]`.
  private func incomingStates(
    _ problem: LinearAttentionProblem, _ spans: LinearAttentionSpans
  ) -> Tensor {
    let (heads, dtype, size) = (problem.heads, problem.query.dtype, problem.stateSize)
    let states = scratch([max(1, spans.count) * heads * size], dtype)
    fillZero(states)
    if let initialState = problem.initialState {
      for (index, span) in spans.enumerated() where span.isFirst {
        memcpy(
          states.pointer(at: index * heads * size),
          initialState.pointer(at: span.document * heads * size),
          heads * size * dtype.byteCount)
      }
    }
    guard spans.areSplit else { return states }
    // What a span adds to the next one's state, then the running sum over the spans of a document.
    let decays = scratch([spans.count * heads * problem.keyDim], .f64)
    let table = kernels(dtype)
    let kernel = hk_linear_attention(problem)
    withUnsafePointer(to: kernel) { kernel in
      let size = hk_linear_attention_forward_scratch(kernel)
      pool.run(spans.count * heads) { index in
        let (span, head) = (spans[index / heads], index % heads)
        guard !span.isLast else { return }
        let work = scratch([size], dtype)
        table.linear_attention_forward(
          kernel, head, span.start, span.end,
          states.pointer(at: (index + heads) * problem.stateSize),
          decays.doubles + index * problem.keyDim, work.pointer)
      }
    }
    pool.run(heads) { head in
      for span in 0..<spans.count - 1 where !spans[span].isLast {
        let index = span * heads + head
        addDecayed(problem, states, from: index, to: index + heads, decays, of: index)
      }
    }
    return states
  }

  /// `states[target] += decay · states[source]`, row by row.
  private func addDecayed(
    _ problem: LinearAttentionProblem, _ states: Tensor, from source: Int, to target: Int,
    _ decays: Tensor, of span: Int
  ) {
    let table = kernels(states.dtype)
    for row in 0..<problem.keyDim {
      let offset = row * problem.valueDim
      table.axpy(
        decays.doubles[span * problem.keyDim + row],
        states.pointer(at: source * problem.stateSize + offset),
        states.pointer(at: target * problem.stateSize + offset), problem.valueDim)
    }
  }

  package func linearAttentionBackward(
    _ problem: LinearAttentionProblem, dOutput: Tensor, dFinalState: Tensor?,
    into gradients: LinearAttentionGradients
  ) {
    let (heads, dtype, size) = (problem.heads, problem.query.dtype, problem.stateSize)
    let keepsStates = gradients.decay != nil && problem.decay.valueTensor == nil
    let spans = LinearAttentionSpans(
      problem, threads: problem.threads(of: pool.threads), limit: keepsStates ? keptTokens : .max)
    let states = incomingStates(problem, spans)
    let dStates = outgoingGradients(problem, spans, dOutput: dOutput, dFinalState: dFinalState)
    // One number per span and head, or one for each rate of a head, which spans add to in turn.
    let hasRates = problem.decay.hasRates
    let dSlopes = scratch([hasRates ? heads * size : max(1, spans.count) * heads], .f64)
    fillZero(dSlopes)
    let kernel = hk_linear_attention(problem, dOutput: dOutput, gradients: gradients)
    let table = kernels(dtype)
    let wantsSlopes = gradients.decay != nil && kernel.log_decay == nil
    withUnsafePointer(to: kernel) { kernel in
      let workSize = hk_linear_attention_backward_scratch(
        kernel, spans.longest, keepsStates ? 1 : 0)
      func run(_ index: Int) {
        let (span, head) = (spans[index / heads], index % heads)
        let work = scratch([workSize], dtype)
        let dSlope = dSlopes.doubles + (hasRates ? head * size : index)
        table.linear_attention_backward(
          kernel, head, span.start, span.end, states.pointer(at: index * size),
          dStates.pointer(at: index * size), nil, wantsSlopes ? dSlope : nil, work.pointer)
      }
      if hasRates {
        pool.run(heads) { head in for span in 0..<spans.count { run(span * heads + head) } }
      } else {
        pool.run(spans.count * heads, run)
      }
    }
    if wantsSlopes, let dDecay = gradients.decay {
      let count = dDecay.count
      let sums = (0..<count).map { place in
        (0..<(hasRates ? 1 : spans.count)).reduce(0.0) { $0 + dSlopes.doubles[$1 * count + place] }
      }
      upload(sums, into: dDecay)
    }
    if let dInitial = gradients.initialState {
      // Documents without tokens hand their gradient on.
      if let dFinalState { copy(dFinalState, into: dInitial) } else { fillZero(dInitial) }
      for (index, span) in spans.enumerated() where span.isFirst {
        memcpy(
          dInitial.pointer(at: span.document * heads * size),
          dStates.pointer(at: index * heads * size), heads * size * dtype.byteCount)
      }
    }
  }

  /// The gradients of the states after every span, `[spans, heads, d, e]`.
  private func outgoingGradients(
    _ problem: LinearAttentionProblem, _ spans: LinearAttentionSpans, dOutput: Tensor,
    dFinalState: Tensor?
  ) -> Tensor {
    let (heads, dtype, size) = (problem.heads, problem.query.dtype, problem.stateSize)
    let dStates = scratch([max(1, spans.count) * heads * size], dtype)
    fillZero(dStates)
    if let dFinalState {
      for (index, span) in spans.enumerated() where span.isLast {
        memcpy(
          dStates.pointer(at: index * heads * size),
          dFinalState.pointer(at: span.document * heads * size), heads * size * dtype.byteCount)
      }
    }
    guard spans.areSplit else { return dStates }
    let decays = scratch([spans.count * heads * problem.keyDim], .f64)
    let table = kernels(dtype)
    let kernel = hk_linear_attention(problem, dOutput: dOutput)
    withUnsafePointer(to: kernel) { kernel in
      let workSize = hk_linear_attention_backward_scratch(kernel, spans.longest, 0)
      pool.run(spans.count * heads) { index in
        let (span, head) = (spans[index / heads], index % heads)
        guard !span.isFirst else { return }
        let work = scratch([workSize], dtype)
        let target = dStates.pointer(at: (index - heads) * size)
        table.linear_attention_backward(
          kernel, head, span.start, span.end, target, target,
          decays.doubles + index * problem.keyDim, nil, work.pointer)
      }
    }
    pool.run(heads) { head in
      for span in (0..<spans.count).reversed() where !spans[span].isFirst {
        let index = span * heads + head
        addDecayed(problem, dStates, from: index, to: index - heads, decays, of: index)
      }
    }
    return dStates
  }

  package func linearAttentionStep(
    _ problem: LinearAttentionProblem, state: Tensor, into output: Tensor
  ) {
    let (heads, size) = (problem.heads, problem.stateSize)
    let table = kernels(problem.query.dtype)
    let count = problem.tokens * heads
    let kernel = hk_linear_attention(problem, output: output)
    withUnsafePointer(to: kernel) { kernel in
      pool.forRanges(count, minimum: max(1, parallelGrain / size)) { range in
        for index in range {
          table.linear_attention_step(
            kernel, index % heads, index / heads, state.pointer(at: index * size))
        }
      }
    }
  }
}

/// Most tokens whose states are kept at a time: one state for every block of them.
private let keptTokens = 1 << 14

extension LinearAttentionProblem {
  /// Elements of one head's state.
  var stateSize: Int { keyDim * valueDim }

  /// Threads that documents are cut for: a part knows what is left of a state by rows only, so with a
  /// decay of rows and columns documents stay whole.
  fileprivate func threads(of all: Int) -> Int { decay.valueTensor == nil ? all : 1 }
}

extension hk_linear_attention {
  init(
    _ problem: LinearAttentionProblem, output: Tensor? = nil, dOutput: Tensor? = nil,
    gradients: LinearAttentionGradients? = nil
  ) {
    var (slopes, logDecay, steps, logRates): (Tensor?, Tensor?, Tensor?, Tensor?)
    switch problem.decay {
    case .none: break
    case .constant(let slopes_H): slopes = slopes_H
    case .vector(let logDecay_TC), .outer(let logDecay_TC, _): logDecay = logDecay_TC
    case .elementwise(let step_TE, let logRate_KE): (steps, logRates) = (step_TE, logRate_KE)
    }
    let ofValues = steps == nil
    self.init(
      query: problem.query.pointer, key: problem.key.pointer, value: problem.value.pointer,
      slopes: slopes?.pointer, log_decay: logDecay?.pointer,
      value_log_decay: ofValues ? problem.decay.valueTensor?.pointer : nil,
      steps: steps?.pointer, log_rates: logRates?.pointer, output: output?.pointer,
      doutput: dOutput?.pointer, dquery: gradients?.query.pointer, dkey: gradients?.key.pointer,
      dvalue: gradients?.value.pointer,
      dlog_decay: logDecay == nil ? nil : gradients?.decay?.pointer,
      dvalue_log_decay: ofValues ? gradients?.valueDecay?.pointer : nil,
      dsteps: ofValues ? nil : gradients?.valueDecay?.pointer,
      heads: problem.heads, key_dim: problem.keyDim, value_dim: problem.valueDim,
      scale: problem.scale)
  }
}
