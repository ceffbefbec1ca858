import Numerics

/// Causal grouped-query attention with rotary positions.
final class Attention: TokenMixer {
  let configuration: AttentionConfiguration
  private let query: Projection
  private let key: Projection
  private let value: Projection
  private let output: Projection
  private let inverseFrequencies: Tensor

  /// - Parameter prefix: The mixer's place, such as `model.layers.0.self_attn`.
  init(
    _ configuration: AttentionConfiguration, prefix: String, store: ParameterStore,
    in context: Context
  ) throws(ModelError) {
    self.configuration = configuration
    query = try Projection("\(prefix).q_proj", bias: configuration.inputBias, store)
    key = try Projection("\(prefix).k_proj", bias: configuration.inputBias, store)
    value = try Projection("\(prefix).v_proj", bias: configuration.inputBias, store)
    output = try Projection("\(prefix).o_proj", bias: configuration.outputBias, store)
    let frequencies = configuration.rope.inverseFrequencies(
      headDimension: configuration.headDimension)
    inverseFrequencies = context.tensor(
      frequencies, [frequencies.count], store.computeType)
  }

  var parameters: [Parameter] {
    [query, key, value, output].flatMap(\.parameters)
  }

  func callAsFunction(
    _ x_TD: Tensor, norm: RMSNorm, layout: SequenceLayout, state: (any MixerState)?,
    in context: Context
  ) -> Tensor {
    let cache = state as? KeyValueCache
    let offset = cache?.length ?? 0
    let projections = AttentionProjections(
      query: query.map, key: key.map, value: value.map, heads: configuration.heads,
      keyHeads: configuration.keyHeads, inverseFrequencies: inverseFrequencies)
    let input = context.attentionInput(
      x_TD, norm: norm, projections, positions: layout.positions_T,
      cache: cache?.extended(by: x_TD.rows, in: context))
    let mixed_TC = context.attention(
      query: input.query, key: input.key, value: input.value, heads: configuration.heads,
      keyHeads: configuration.keyHeads, scale: configuration.scale,
      documentStarts: state == nil ? layout.documentStarts_T : nil, queryOffset: offset,
      window: configuration.window)
    return context.linear(mixed_TC, output.map, addedTo: x_TD)
  }

  func makeState(capacity: Int, in context: Context) -> any MixerState {
    KeyValueCache(
      columns: configuration.keyHeads * configuration.headDimension, capacity: capacity,
      dtype: context.activationType(for: inverseFrequencies.dtype), in: context)
  }
}
