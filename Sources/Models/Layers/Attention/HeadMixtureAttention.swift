import Numerics

/// Attention whose query heads are experts while keys and values are shared: MoH (Jin et al. 2024),
/// and with the heads dealt out as JetMoE does (Shen et al. 2024), its mixture of attention heads.
///
/// Every head is computed and those of experts a token did not choose are dropped, as in MoH's own
/// code; keys and values are cached as in dense attention.
final class HeadMixtureAttention: TokenMixer {
  let router: ExpertRouter?
  private let routing: ExpertRouter
  private let weights: AttentionWeights
  private let expertOfHead: Tensor

  init(
    _ weights: AttentionWeights, router: ExpertRouter, expertOfHead: [Int32], in context: Context
  ) {
    self.weights = weights
    self.router = router
    routing = router
    self.expertOfHead = context.tensor(expertOfHead, [expertOfHead.count])
  }

  var parameters: [Parameter] { routing.parameters + weights.parameters }

  var projections: [LinearProjection] { weights.projections }

  func callAsFunction(
    _ x_TD: Tensor, norm: RMSNorm, addedTo residual_TD: Tensor?, layout: SequenceLayout,
    state: (any MixerState)?, in context: Context
  ) -> (output: Tensor, routing: Routing?) {
    let chosen = routing(x_TD, norm: norm, in: context)
    let heads_TC = weights.heads(x_TD, norm: norm, layout: layout, state: state, in: context)
    let scaled_TC = context.scaleHeads(heads_TC, chosen, expertOfHead: expertOfHead)
    return (context.linear(scaled_TC, weights.output.map, addedTo: residual_TD), chosen)
  }

  func makeState(capacity: Int, in context: Context) -> any MixerState {
    weights.cache(keyHeads: weights.configuration.keyHeads, capacity: capacity, in: context)
  }
}
