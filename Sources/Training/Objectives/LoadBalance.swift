import Models
import Numerics

extension Objective {
  /// `E · Σ_e f_e · P_e` of each mixture layer (Fedus et al. 2021, eq. 4), summed or averaged over
  /// the layers; `nil` for a model without mixtures. One per layer when balanced.
  func loadBalance(
    _ routings: [LayerRouting], in context: Context
  ) -> Tensor? {
    guard !routings.isEmpty else { return nil }
    let weight = losses.balanceOver == .sum ? 1 : 1 / Double(routings.count)
    return context.weightedSum(
      routings.map(\.routing).map { routing in
        let experts = routing.counts_E.count
        let topK = routing.experts_TK.columns
        return (weight, context.loadBalanceLoss(routing, experts: experts, topK: topK))
      })
  }
}
