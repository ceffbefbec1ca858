import Numerics

/// Causal grouped-query attention with rotary positions.
final class Attention: TokenMixer {
  private let weights: AttentionWeights

  init(_ weights: AttentionWeights) { self.weights = weights }

  var parameters: [Parameter] { weights.parameters }

  var projections: [LinearProjection] { weights.projections }

  func callAsFunction(
    _ x_TD: Tensor, norm: RMSNorm, addedTo residual_TD: Tensor?, layout: SequenceLayout,
    state: (any MixerState)?, in context: Context
  ) -> (output: Tensor, routing: Routing?) {
    let mixed_TC = weights.heads(x_TD, norm: norm, layout: layout, state: state, in: context)
    return (context.linear(mixed_TC, weights.output.map, addedTo: residual_TD), nil)
  }

  func headOutputs(_ x_TD: Tensor, norm: RMSNorm, layout: SequenceLayout, in context: Context)
    -> Tensor?
  {
    weights.heads(x_TD, norm: norm, layout: layout, state: nil, in: context)
  }

  func makeState(capacity: Int, in context: Context) -> any MixerState {
    weights.cache(keyHeads: weights.configuration.keyHeads, capacity: capacity, in: context)
  }
}
