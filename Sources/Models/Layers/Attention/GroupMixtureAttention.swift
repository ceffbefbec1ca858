import Numerics

/// Attention whose experts are key heads with their query heads, each with projections of its own
/// (LLaMA-MoE-v2, Qu et al. 2024). A token attends only to tokens routed to the same expert, at
/// their original positions.
///
/// Each expert's tokens are packed together, so that one causal attention over documents split by
/// expert does all of them.
final class GroupMixtureAttention: TokenMixer {
  let router: ExpertRouter?
  private let routing: ExpertRouter
  private let weights: AttentionWeights
  private let expertOfHead: Tensor
  /// Query heads of one expert.
  private let groupHeads: Int

  init(
    _ weights: AttentionWeights, router: ExpertRouter, expertOfHead: [Int32], in context: Context
  ) {
    self.weights = weights
    self.router = router
    routing = router
    self.expertOfHead = context.tensor(expertOfHead, [expertOfHead.count])
    groupHeads = weights.configuration.heads / router.experts
  }

  var parameters: [Parameter] { routing.parameters + weights.parameters }

  var projections: [LinearProjection] { weights.projections }

  func callAsFunction(
    _ x_TD: Tensor, norm: RMSNorm, addedTo residual_TD: Tensor?, layout: SequenceLayout,
    state: (any MixerState)?, in context: Context
  ) -> (output: Tensor, routing: Routing?) {
    let chosen = routing(x_TD, norm: norm, in: context)
    let dispatch = context.dispatch(chosen, experts: routing.experts)
    let all = weights.input(x_TD, norm: norm, layout: layout, in: context)
    let packed: AttentionInput = (
      context.packExperts(all.query, chosen, dispatch),
      context.packExperts(all.key, chosen, dispatch),
      context.packExperts(all.value, chosen, dispatch)
    )
    let mixed_PW =
      (state as? ExpertCaches).map {
        $0.attend(
          packed, dispatch, topK: chosen.experts_TK.columns, groupHeads: groupHeads,
          weights.configuration, in: context)
      }
      ?? context.attention(
        query: packed.query, key: packed.key, value: packed.value, heads: groupHeads, keyHeads: 1,
        scale: weights.configuration.scale,
        documentStarts: context.packedStarts(
          layout, chosen, dispatch, window: weights.configuration.window))
    let scaled_TC = context.scaleHeads(
      context.unpackExperts(mixed_PW, chosen, dispatch), chosen, expertOfHead: expertOfHead)
    return (context.linear(scaled_TC, weights.output.map, addedTo: residual_TD), chosen)
  }

  func makeState(capacity: Int, in context: Context) -> any MixerState {
    ExpertCaches(
      (0..<routing.experts).map { _ in
        weights.cache(keyHeads: 1, capacity: capacity, in: context)
      })
  }
}
