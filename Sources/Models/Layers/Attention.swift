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
    _ x_TD: Tensor, layout: SequenceLayout, state: (any MixerState)?, in context: Context
  ) -> Tensor {
    let rotate = { [self] (x: Tensor, heads: Int) in
      context.rope(
        x, positions: layout.positions_T, inverseFrequencies: inverseFrequencies, heads: heads)
    }
    let query_TC = rotate(query(x_TD, in: context), configuration.heads)
    var key_SC = rotate(key(x_TD, in: context), configuration.keyHeads)
    var value_SC = value(x_TD, in: context)
    var offset = 0
    if let cache = state as? KeyValueCache {
      offset = cache.length
      (key_SC, value_SC) = cache.append(key: key_SC, value: value_SC, in: context)
    }
    let mixed_TC = context.attention(
      query: query_TC, key: key_SC, value: value_SC, heads: configuration.heads,
      keyHeads: configuration.keyHeads, scale: configuration.scale,
      documentStarts: state == nil ? layout.documentStarts_T : nil, queryOffset: offset,
      window: configuration.window)
    return output(mixed_TC, in: context)
  }

  func makeState(capacity: Int, in context: Context) -> any MixerState {
    KeyValueCache(
      columns: configuration.keyHeads * configuration.headDimension, capacity: capacity,
      dtype: context.activationType(for: inverseFrequencies.dtype), in: context)
  }
}
