/// What an attention call fixes besides its tensors.
package struct AttentionShape: Sendable {
  package var heads: Int
  package var keyHeads: Int
  /// Channels per head.
  package var dim: Int
  package var scale: Double
  /// Keys that precede the first query's own key.
  package var queryOffset: Int
  /// Keys a query sees, its own included; `nil`: all.
  package var window: Int?
}

/// Kernels of causal attention. None may store a matrix of all scores.
package protocol AttentionKernels {
  /// The attention output and, per head and query, the logarithm of the softmax denominator,
  /// `[heads, T]`.
  func attentionForward(
    query: Tensor, key: Tensor, value: Tensor, documentStarts: Tensor?, shape: AttentionShape,
    into output: Tensor, logSumExp: Tensor)
  /// Sets the three gradients.
  func attentionBackward(
    _ dOutput: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor,
    logSumExp: Tensor, documentStarts: Tensor?, shape: AttentionShape, dQuery: Tensor, dKey: Tensor,
    dValue: Tensor)
}

extension Context {
  /// Causal grouped-query attention (Vaswani et al. 2017, eq. 1; Ainslie et al. 2023), computed in
  /// blocks with a running softmax (Dao et al. 2022): memory grows with `T`, not with `T²`.
  ///
  /// Query `t` sees the keys from `max(documentStarts[t], t + queryOffset - window + 1)` up to and
  /// including `t + queryOffset`, always at least its own. Query head `h` uses key head
  /// `h · keyHeads / heads`.
  ///
  /// - Parameters:
  ///   - query: `[T, heads · d]`, `1 ≤ d ≤ 256`.
  ///   - key: `[T + queryOffset, keyHeads · d]`: what is cached, then the tokens themselves.
  ///   - value: Of the shape of `key`.
  ///   - heads: Query heads, a multiple of `keyHeads`.
  ///   - scale: Factor on the scores, usually `1 / √d`.
  ///   - documentStarts: Key row at which each token's document starts, `[T]`, `i32`; `nil`: 0.
  ///   - queryOffset: Cached keys that precede the tokens.
  ///   - window: Keys a token sees, itself included; `nil`: all.
  /// - Returns: `[T, heads · d]`.
  public func attention(
    query: Tensor, key: Tensor, value: Tensor, heads: Int, keyHeads: Int, scale: Double,
    documentStarts: Tensor? = nil, queryOffset: Int = 0, window: Int? = nil
  ) -> Tensor {
    precondition(
      heads > 0 && keyHeads > 0 && heads % keyHeads == 0 && query.columns % heads == 0,
      "attention: \(heads) heads over \(keyHeads) key heads, \(query.columns) channels")
    let shape = AttentionShape(
      heads: heads, keyHeads: keyHeads, dim: query.columns / heads, scale: scale,
      queryOffset: queryOffset, window: window)
    precondition(
      key.columns == keyHeads * shape.dim && key.rows == query.rows + queryOffset
        && key.count == value.count && queryOffset >= 0 && (1...256).contains(shape.dim)
        && query.dtype == key.dtype && key.dtype == value.dtype,
      "attention: query \(query.shape), key \(key.shape), value \(value.shape), \(shape)")
    precondition(window ?? 1 > 0, "attention: a window of \(window ?? 0) keys")
    precondition(
      documentStarts.map { $0.dtype == .i32 && $0.count == query.rows } ?? true,
      "attention: one i32 document start per query")
    let output = empty([query.rows, query.columns], query.dtype)
    let logSumExp = empty([heads, query.rows], query.dtype.statistic)
    backend.attentionForward(
      query: query, key: key, value: value, documentStarts: documentStarts, shape: shape,
      into: output, logSumExp: logSumExp)
    return record(
      output, from: [query, key, value],
      AttentionNode(
        query: query, key: key, value: value, output: output, logSumExp: logSumExp,
        documentStarts: documentStarts, shape: shape))
  }
}

private struct AttentionNode: TapeNode {
  let query: Tensor
  let key: Tensor
  let value: Tensor
  let output: Tensor
  let logSumExp: Tensor
  let documentStarts: Tensor?
  let shape: AttentionShape

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dOutput = gradients[0] else { return }
    let dQuery = context.empty(query.shape, query.dtype)
    let dKey = context.empty(key.shape, key.dtype)
    let dValue = context.empty(value.shape, value.dtype)
    context.backend.attentionBackward(
      dOutput, query: query, key: key, value: value, output: output, logSumExp: logSumExp,
      documentStarts: documentStarts, shape: shape, dQuery: dQuery, dKey: dKey, dValue: dValue)
    context.accumulate(dQuery, into: query.slot)
    context.accumulate(dKey, into: key.slot)
    context.accumulate(dValue, into: value.slot)
  }
}
