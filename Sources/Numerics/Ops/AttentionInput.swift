/// The parameters of an attention layer's input.
public struct AttentionProjections {
  /// To `[heads · d]` channels.
  public var query: LinearMap
  /// To `[keyHeads · d]` channels.
  public var key: LinearMap
  /// To `[keyHeads · d]` channels.
  public var value: LinearMap
  /// Query heads.
  public var heads: Int
  /// Key and value heads.
  public var keyHeads: Int
  /// Radians per position, `[d / 2]`.
  public var inverseFrequencies: Tensor

  /// Projections from their parts.
  public init(
    query: LinearMap, key: LinearMap, value: LinearMap, heads: Int, keyHeads: Int,
    inverseFrequencies: Tensor
  ) {
    self.query = query
    self.key = key
    self.value = value
    self.heads = heads
    self.keyHeads = keyHeads
    self.inverseFrequencies = inverseFrequencies
  }
}

/// What attention takes: `[T, heads · d]` and twice `[S, keyHeads · d]`.
public typealias AttentionInput = (query: Tensor, key: Tensor, value: Tensor)

/// Attention's input for a few rows in one go.
package protocol FusedAttentionInputKernels {
  /// Fills queries, keys and values of the normalised rows; queries and keys turned by position.
  func attentionInput(
    _ x: Tensor, norm: RMSNorm, _ projections: AttentionProjections, positions: Tensor,
    into input: AttentionInput)
}

extension Context {
  /// Queries, keys and values of `rmsNorm(x)`, queries and keys with rotary positions.
  ///
  /// - Parameters:
  ///   - x_TD: Rows of the residual stream, `[T, D]`.
  ///   - positions_T: Position of each token in its document, `[T]`, `i32`.
  ///   - cache: Keys and values so far, `[S, keyHeads · d]` each, of which the last `T` rows are to
  ///     be written; `nil` for none.
  /// - Returns: The queries, and the whole cache or, without one, the new keys and values.
  public func attentionInput(
    _ x_TD: Tensor, norm: RMSNorm, _ projections: AttentionProjections,
    positions positions_T: Tensor, cache: (key: Tensor, value: Tensor)? = nil
  ) -> AttentionInput {
    let (tokens, heads, keyHeads) = (x_TD.rows, projections.heads, projections.keyHeads)
    let dim = 2 * projections.inverseFrequencies.count
    if let fused = fusedKernels(
      for: x_TD, projections.query, projections.key, projections.value)
    {
      let maps = [projections.query, projections.key, projections.value]
      precondition(
        zip(maps, [heads, keyHeads, keyHeads]).allSatisfy {
          $0.weight_OI.shape == [$1 * dim, x_TD.columns]
            && $0.weight_OI.dtype == projections.query.weight_OI.dtype
        }, "attentionInput: \(x_TD.shape) with \(maps.map(\.weight_OI.shape)), \(heads) heads")
      precondition(positions_T.count == tokens && positions_T.dtype == .i32)
      let query = empty([tokens, heads * dim], x_TD.dtype)
      let all =
        cache ?? (
          empty([tokens, keyHeads * dim], x_TD.dtype), empty([tokens, keyHeads * dim], x_TD.dtype)
        )
      let new = all.key.shape[0] - tokens..<all.key.shape[0]
      fused.attentionInput(
        x_TD, norm: norm, projections, positions: positions_T,
        into: (query, all.key.slice(new), all.value.slice(new)))
      return (query, all.key, all.value)
    }
    let normed = rmsNorm(x_TD, norm)
    func turned(_ map: LinearMap, _ heads: Int) -> Tensor {
      rope(
        linear(normed, map), positions: positions_T,
        inverseFrequencies: projections.inverseFrequencies, heads: heads)
    }
    let query = turned(projections.query, heads)
    let key = turned(projections.key, keyHeads)
    let value = linear(normed, projections.value)
    guard let cache else { return (query, key, value) }
    let new = cache.key.shape[0] - tokens..<cache.key.shape[0]
    copy(key, into: cache.key.slice(new))
    copy(value, into: cache.value.slice(new))
    return (query, cache.key, cache.value)
  }
}
