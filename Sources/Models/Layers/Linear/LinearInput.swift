import Numerics

/// What linear attention takes, every head with queries, keys and values of its own.
struct LinearInput {
  let query: Tensor
  let key: Tensor
  let value: Tensor
  let decay: LinearAttentionDecay
  /// What share of the memory of its key each token replaces, `[T, heads]`; `nil`: none, it is added.
  var beta: Tensor?

  /// What linear attention makes of it, `[T, heads · e]`.
  ///
  /// - Parameter state: The memory of the one document being decoded, updated; `nil` for documents that
  ///   all begin here.
  func mixed(
    heads: Int, scale: Double, layout: SequenceLayout, state: LinearState?, in context: Context
  ) -> Tensor {
    if let state, query.rows == 1 {
      if let beta {
        return context.deltaRuleStep(
          query: query, key: key, value: value, beta: beta, heads: heads, scale: scale,
          decay: decay, state: state.memory)
      }
      return context.linearAttentionStep(
        query: query, key: key, value: value, heads: heads, scale: scale, decay: decay,
        state: state.memory)
    }
    precondition(
      state != nil || layout.documentOffsets != nil,
      "linear attention needs to know where documents begin: give the layout its offsets")
    let offsets = state == nil ? layout.documentOffsets : nil
    let (output, final) =
      if let beta {
        context.deltaRule(
          query: query, key: key, value: value, beta: beta, heads: heads, scale: scale,
          decay: decay, documentOffsets: offsets, initialState: state?.memory)
      } else {
        context.linearAttention(
          query: query, key: key, value: value, heads: heads, scale: scale, decay: decay,
          documentOffsets: offsets, initialState: state?.memory)
      }
    state?.memory = final.detached()
    return output
  }
}

extension Parameter {
  /// The parameter in every row, `[T, C]`, of the type of `x_TD`.
  func rows(like x_TD: Tensor, in context: Context) -> Tensor {
    context.add(context.zeros([x_TD.rows, value.count], x_TD.dtype), bias: tensor)
  }
}
