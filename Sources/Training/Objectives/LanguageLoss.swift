import Models
import Numerics

extension Objective {
  /// `Σ_t (a · w_t · ce_t + b · v_t · KL(teacher ‖ student)_t)`: cross-entropy with the data and
  /// distillation from the teacher (Hinton et al. 2015), fused with the output head.
  func languageLoss(
    _ hidden_TD: Tensor, _ model: LanguageModel, _ batch: MicroBatch,
    teacher: (hidden: Tensor, weight: Tensor)?, in context: Context
  ) -> LinearLoss {
    let followed_T =
      losses.distillationOver == .all ? batch.textWeights_T : batch.lossWeights_T
    return context.linearCrossEntropy(
      hidden_TD, weight: model.head.tensor, targets: batch.targets_T,
      lossWeights: batch.lossWeights_T, distillationWeights: followed_T, teacher: teacher,
      crossEntropy: losses.crossEntropy, distillation: losses.distillation)
  }
}
