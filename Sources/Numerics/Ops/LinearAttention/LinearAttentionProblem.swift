/// One linear attention call. `d` channels of queries and keys and `e` of values per head.
package struct LinearAttentionProblem: Sendable {
  /// `[T, heads · d]`.
  package var query: Tensor
  /// `[T, heads · d]`.
  package var key: Tensor
  /// `[T, heads · e]`.
  package var value: Tensor
  package var decay: LinearAttentionDecay
  /// First row of every document and, last, `T`: `[N + 1]`, `i32`; `nil`: one document.
  package var documentOffsets: Tensor?
  /// `[N, heads, d, e]`; `nil`: zeros.
  package var initialState: Tensor?
  package var heads: Int
  package var scale: Double

  package var tokens: Int { query.rows }
  package var keyDim: Int { query.columns / heads }
  package var valueDim: Int { value.columns / heads }
  package var documents: Int { documentOffsets.map { $0.count - 1 } ?? 1 }
  package var stateShape: [Int] { [documents, heads, keyDim, valueDim] }
  package var stateType: DType { query.dtype.statistic }

  /// Stops the program on operands that do not fit together.
  func check(_ name: String) {
    precondition(
      heads > 0 && query.columns % heads == 0 && value.columns % heads == 0
        && query.shape == key.shape && value.rows == query.rows
        && (1...256).contains(keyDim) && (1...256).contains(valueDim)
        && query.dtype == key.dtype && key.dtype == value.dtype,
      "\(name): query \(query.shape), key \(key.shape), value \(value.shape), \(heads) heads")
    switch decay {
    case .none: break
    case .constant(let slopes_H):
      precondition(
        slopes_H.count == heads && slopes_H.dtype == stateType,
        "\(name): \(slopes_H.shape) slopes in \(slopes_H.dtype) for \(heads) heads")
    case .vector(let logDecay_TC): check(name, logDecay_TC, for: key)
    case .outer(let logDecay_TC, let valueLogDecay_TE):
      check(name, logDecay_TC, for: key)
      check(name, valueLogDecay_TE, for: value)
    case .elementwise(let step_TE, let logRate_KE):
      check(name, step_TE, for: value)
      precondition(
        logRate_KE.shape == [heads, keyDim, valueDim] && logRate_KE.dtype == stateType,
        "\(name): log-rates \(logRate_KE.shape) in \(logRate_KE.dtype) for states \(stateShape)")
    }
    precondition(
      documentOffsets.map { $0.dtype == .i32 && $0.count > 0 } ?? true,
      "\(name): document offsets are i32, one more than documents")
    precondition(
      initialState.map { $0.shape == stateShape && $0.dtype == stateType } ?? true,
      "\(name): a state of \(initialState?.shape ?? []) instead of \(stateShape) in \(stateType)")
  }

  private func check(_ name: String, _ logDecay: Tensor, for tensor: Tensor) {
    precondition(
      logDecay.shape == tensor.shape && logDecay.dtype == stateType,
      "\(name): log-decays or steps \(logDecay.shape) in \(logDecay.dtype) for channels \(tensor.shape)"
    )
  }
}

extension LinearAttentionProblem {
  /// Memory for the gradients, contents undefined.
  func makeGradients(in context: Context) -> LinearAttentionGradients {
    func like(_ tensor: Tensor?) -> Tensor? {
      tensor.flatMap { $0.requiresGradient ? context.empty($0.shape, $0.dtype) : nil }
    }
    return LinearAttentionGradients(
      query: context.empty(query.shape, query.dtype), key: context.empty(query.shape, query.dtype),
      value: context.empty(value.shape, value.dtype), decay: like(decay.tensor),
      valueDecay: like(decay.valueTensor), initialState: like(initialState))
  }

  /// Adds the gradients to those of the operands.
  func accumulate(_ gradients: LinearAttentionGradients, in context: Context) {
    let pairs: [(Tensor?, Tensor?)] = [
      (gradients.query, query), (gradients.key, key), (gradients.value, value),
      (gradients.decay, decay.tensor), (gradients.valueDecay, decay.valueTensor),
      (gradients.initialState, initialState),
    ]
    for case (let gradient?, let operand) in pairs {
      context.accumulate(gradient, into: operand?.slot)
    }
  }
}

/// Where backward writes; all are set, none is added to.
package struct LinearAttentionGradients {
  package var query: Tensor
  package var key: Tensor
  package var value: Tensor
  /// Of the decay's tensor, of its shape; `nil` when not wanted.
  package var decay: Tensor?
  /// Of the decay or step of value channels; `nil` when not wanted.
  package var valueDecay: Tensor?
  /// `nil` when not wanted.
  package var initialState: Tensor?
}

/// Kernels of linear attention: `S_t = decay · S_(t-1) + k_tᵀ v_t`, `o_t = scale · q_t S_t` in every
/// document and head. States and sums are kept in the statistic type of the activations.
package protocol LinearAttentionKernels {
  func linearAttentionForward(
    _ problem: LinearAttentionProblem, into output: Tensor, finalState: Tensor)
  func linearAttentionBackward(
    _ problem: LinearAttentionProblem, dOutput: Tensor, dFinalState: Tensor?,
    into gradients: LinearAttentionGradients)
  /// Row `n` continues the document whose state is `state[n]`; the states change in place.
  func linearAttentionStep(_ problem: LinearAttentionProblem, state: Tensor, into output: Tensor)
}
