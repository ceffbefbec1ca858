import Models
import Numerics

/// Auxiliary-loss-free balancing (Wang et al. 2024, algorithm 1): no gradient, but a bias that
/// steers the choice of experts and is moved after each step.
struct SelectionBiasBalancing {
  /// How far a bias moves in one step; 0 leaves it alone.
  let rate: Double

  /// Moves each layer's biases by the step's tokens per expert: up where there were fewer than the
  /// mean, down where there were more.
  func update(
    _ model: LanguageModel, loads: [ExpertLoad], in context: Context
  ) {
    guard rate > 0 else { return }
    let routers = model.routers
    for load in loads {
      let routed = routers.first { $0.layer == load.layer && $0.part == load.part }
      guard let bias = routed?.router.selectionBias else { continue }
      let counts = load.counts.map { Int32(clamping: $0) }
      context.updateSelectionBias(
        bias.value, counts: context.tensor(counts, [counts.count]), rate: rate)
    }
  }
}
