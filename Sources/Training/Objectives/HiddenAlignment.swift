import Numerics

extension Objective {
  /// The mean over block boundaries of `Σ (student - teacher)² / Σ teacher²`, the squares taken
  /// over all tokens and channels of the residual stream behind the block.
  func hiddenAlignment(
    _ student: [Tensor], _ teacher: [Tensor], in context: Context
  ) -> Tensor? {
    mean(
      zip(student, teacher).map { context.relativeSquaredError($0, target: $1) }, in: context)
  }

  /// The mean of scalars; `nil` for none.
  func mean(_ scalars: [Tensor], in context: Context) -> Tensor? {
    guard !scalars.isEmpty else { return nil }
    return context.weightedSum(scalars.map { (1 / Double(scalars.count), $0) })
  }
}
