import Numerics

/// What linear attention takes, every head with queries, keys and values of its own.
struct LinearInput {
  let query: Tensor
  let key: Tensor
  let value: Tensor
  let decay: LinearAttentionDecay

  /// What linear attention makes of it, `[T, heads · e]`.
  ///
  /// - Parameter state: The memory of the one document being decoded, updated; `nil` for documents that
  ///   all begin here.
  func mixed(
    heads: Int, scale: Double, layout: SequenceLayout, state: LinearState?, in context: Context
  ) -> Tensor {
    if let state, query.rows == 1 {
      return context.linearAttentionStep(
        query: query, key: key, value: value, heads: heads, scale: scale, decay: decay,
        state: state.memory)
    }
    precondition(
      state != nil || layout.documentOffsets != nil,
      "linear attention needs to know where documents begin: give the layout its offsets")
    let (output, final) = context.linearAttention(
      query: query, key: key, value: value, heads: heads, scale: scale, decay: decay,
      documentOffsets: state == nil ? layout.documentOffsets : nil, initialState: state?.memory)
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
