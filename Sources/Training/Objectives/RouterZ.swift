import Models
import Numerics

extension Objective {
  /// The mean over layers and tokens of `logsumexp(logits)²`, which keeps router logits small
  /// (Zoph et al. 2022, eq. 5); `nil` for a model without mixtures.
  func routerZ(_ routings: [LayerRouting], in context: Context) -> Tensor? {
    mean(routings.map { context.routerZLoss($0.routing.logits_TE) }, in: context)
  }
}
