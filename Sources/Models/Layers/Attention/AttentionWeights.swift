import Numerics

/// The projections and rotary frequencies of an attention layer, dense or a mixture.
struct AttentionWeights {
  let configuration: AttentionConfiguration
  let query: LinearProjection
  let key: LinearProjection
  let value: LinearProjection
  let output: LinearProjection
  private let inverseFrequencies: Tensor

  /// - Parameter prefix: The mixer's place, such as `model.layers.0.self_attn`.
  init(
    _ configuration: AttentionConfiguration, prefix: String, store: ParameterStore,
    in context: Context
  ) throws(ModelError) {
    self.configuration = configuration
    query = try LinearProjection("\(prefix).q_proj", bias: configuration.inputBias, store)
    key = try LinearProjection("\(prefix).k_proj", bias: configuration.inputBias, store)
    value = try LinearProjection("\(prefix).v_proj", bias: configuration.inputBias, store)
    output = try LinearProjection("\(prefix).o_proj", bias: configuration.outputBias, store)
    let frequencies = configuration.rope.inverseFrequencies(
      headDimension: configuration.headDimension)
    inverseFrequencies = context.tensor(
      frequencies, [frequencies.count], store.computeType)
  }

  var projections: [LinearProjection] { [query, key, value, output] }

  var parameters: [Parameter] { projections.flatMap(\.parameters) }

  /// Queries, keys and values of the normalised rows; with `cache`, all keys and values up to them.
  func input(
    _ x_TD: Tensor, norm: RMSNorm, layout: SequenceLayout, cache: KeyValueCache? = nil,
    in context: Context
  ) -> AttentionInput {
    let projections = AttentionProjections(
      query: query.map, key: key.map, value: value.map, heads: configuration.heads,
      keyHeads: configuration.keyHeads, inverseFrequencies: inverseFrequencies)
    return context.attentionInput(
      x_TD, norm: norm, projections, positions: layout.positions_T,
      cache: cache?.extended(by: x_TD.rows, in: context))
  }

  /// What all heads make of the rows, `[T, heads · d]`: the output projection's input.
  func heads(
    _ x_TD: Tensor, norm: RMSNorm, layout: SequenceLayout, state: (any MixerState)?,
    in context: Context
  ) -> Tensor {
    let cache = state as? KeyValueCache
    let offset = cache?.length ?? 0
    let input = input(x_TD, norm: norm, layout: layout, cache: cache, in: context)
    return context.attention(
      query: input.query, key: input.key, value: input.value, heads: configuration.heads,
      keyHeads: configuration.keyHeads, scale: configuration.scale,
      documentStarts: state == nil ? layout.documentStarts_T : nil, queryOffset: offset,
      window: configuration.window)
  }

  /// An empty cache of `keyHeads` key heads.
  func cache(keyHeads: Int, capacity: Int, in context: Context) -> KeyValueCache {
    KeyValueCache(
      columns: keyHeads * configuration.headDimension, capacity: capacity,
      dtype: context.activationType(for: inverseFrequencies.dtype), in: context)
  }
}
