import Numerics

/// The projections and rotary frequencies of an attention layer, dense or a mixture.
struct AttentionWeights {
  let configuration: AttentionConfiguration
  let query: LinearProjection
  let key: LinearProjection
  let value: LinearProjection
  let output: LinearProjection
  /// What the heads' outputs are gated by; `nil` where they are not.
  let gate: LinearProjection?
  private let queryNorm: Parameter?
  private let keyNorm: Parameter?
  private let inverseFrequencies: Tensor
  /// What queries are multiplied by at each position, `[positions, 1]`.
  private let positionFactors: Tensor?

  /// - Parameter prefix: The mixer's place, such as `model.layers.0.self_attn`.
  init(
    _ configuration: AttentionConfiguration, prefix: String, store: ParameterStore,
    in context: Context
  ) throws(ModelError) {
    if let refusal = configuration.sizeRefusal { throw ModelError("\(prefix): \(refusal)") }
    self.configuration = configuration
    query = try LinearProjection("\(prefix).q_proj", bias: configuration.inputBias, store)
    key = try LinearProjection("\(prefix).k_proj", bias: configuration.inputBias, store)
    value = try LinearProjection("\(prefix).v_proj", bias: configuration.inputBias, store)
    output = try LinearProjection("\(prefix).o_proj", bias: configuration.outputBias, store)
    gate =
      configuration.hasOutputGate
      ? try LinearProjection("\(prefix).g_proj", bias: false, store) : nil
    queryNorm = configuration.normalizesHeads ? try store.take("\(prefix).q_norm.weight") : nil
    keyNorm = configuration.normalizesHeads ? try store.take("\(prefix).k_norm.weight") : nil
    positionFactors = configuration.logScale.map {
      context.tensor($0.factors, [$0.positions, 1], store.computeType)
    }
    let frequencies = configuration.rope.inverseFrequencies(
      headDimension: configuration.headDimension)
    inverseFrequencies = context.tensor(
      frequencies, [frequencies.count], store.computeType)
  }

  var projections: [LinearProjection] { [query, key, value, output] + (gate.map { [$0] } ?? []) }

  var parameters: [Parameter] {
    projections.flatMap(\.parameters) + [queryNorm, keyNorm].compactMap { $0 }
  }

  /// Queries, keys and values of the normalised rows; with `cache`, all keys and values up to them.
  func input(
    _ x_TD: Tensor, norm: RMSNorm, layout: SequenceLayout, cache: KeyValueCache? = nil,
    in context: Context
  ) -> AttentionInput {
    let cached = cache?.extended(by: x_TD.rows, in: context)
    guard configuration.isPlain else {
      return addedTo(x_TD, norm: norm, layout: layout, cache: cached, in: context)
    }
    let projections = AttentionProjections(
      query: query.map, key: key.map, value: value.map, heads: configuration.heads,
      keyHeads: configuration.keyHeads, inverseFrequencies: inverseFrequencies)
    return context.attentionInput(
      x_TD, norm: norm, projections, positions: layout.positions_T,
      cache: cached)
  }

  /// The same with what the configuration adds to plain attention.
  private func addedTo(
    _ x_TD: Tensor, norm: RMSNorm, layout: SequenceLayout, cache: (key: Tensor, value: Tensor)?,
    in context: Context
  ) -> AttentionInput {
    let normed_TD = context.rmsNorm(x_TD, norm)
    func made(_ map: LinearMap, _ gain: Parameter?, _ heads: Int) -> Tensor {
      var rows = context.linear(normed_TD, map)
      let (shape, dim) = (rows.shape, configuration.headDimension)
      if let gain {
        rows = context.rmsNorm(
          rows.reshaped([rows.count / dim, dim]), weight: gain.tensor, epsilon: norm.epsilon
        ).reshaped(shape)
      }
      guard configuration.hasPositions else { return rows }
      return context.rope(
        rows, positions: layout.positions_T, inverseFrequencies: inverseFrequencies, heads: heads)
    }
    var query = made(query.map, queryNorm, configuration.heads)
    if let positionFactors {
      let factors_T1 = context.cast(
        context.embedding(layout.positions_T, weight: positionFactors), to: query.dtype)
      query = context.gated(
        query, by: context.repeatHeads(factors_T1, dim: 1, times: query.columns), .none)
    }
    let (key, value) = (
      made(key.map, keyNorm, configuration.keyHeads), context.linear(normed_TD, value.map)
    )
    guard let cache else { return (query, key, value) }
    let new = cache.key.shape[0] - x_TD.rows..<cache.key.shape[0]
    context.copy(key, into: cache.key.slice(new))
    context.copy(value, into: cache.value.slice(new))
    return (query, cache.key, cache.value)
  }

  /// What all heads make of the rows, `[T, heads · d]`: the output projection's input.
  func heads(
    _ x_TD: Tensor, norm: RMSNorm, layout: SequenceLayout, state: (any MixerState)?,
    in context: Context
  ) -> Tensor {
    let cache = state as? KeyValueCache
    let input = input(x_TD, norm: norm, layout: layout, cache: cache, in: context)
    let heads_TC = context.attention(
      query: input.query, key: input.key, value: input.value, heads: configuration.heads,
      keyHeads: configuration.keyHeads, scale: configuration.scale,
      documentStarts: state == nil ? layout.documentStarts_T : nil,
      queryOffset: input.key.rows - x_TD.rows,
      window: configuration.window)
    return gate.map { gate in
      context.gated(heads_TC, by: context.linear(x_TD, norm: norm, gate.map), .sigmoid)
    } ?? heads_TC
  }

  /// An empty cache of `keyHeads` key heads.
  func cache(keyHeads: Int, capacity: Int, in context: Context) -> KeyValueCache {
    KeyValueCache(
      columns: keyHeads * configuration.headDimension, capacity: capacity,
      window: configuration.mixture == nil ? configuration.window : nil,
      dtype: context.activationType(for: inverseFrequencies.dtype), in: context)
  }
}
