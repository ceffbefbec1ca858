/// What a model predicts at each token, for evaluation.
public struct TokenStatistics {
  /// `-ln p(target)` in nats; 0 for targets outside the vocabulary.
  public let crossEntropy_T: Tensor
  /// KL(teacher ‖ student) in nats; `nil` without a teacher.
  public let divergence_T: Tensor?
  /// 1 where student and teacher rank the same token first; `nil` without a teacher.
  public let agreement_T: Tensor?
  /// 1 where the target is ranked first.
  public let correct_T: Tensor
}

extension Context {
  /// Cross-entropy, divergence from a teacher and top-1 hits per token, without gradient.
  ///
  /// - Parameters:
  ///   - x_TD: Final hidden states, `[T, D]`.
  ///   - weight_VD: The output head, `[V, D]`; may be 16-bit.
  ///   - targets_T: Token ids, `[T]` `i32`.
  ///   - teacher: Hidden states `[T, D']` and head `[V, D']` of the model to compare with.
  public func tokenStatistics(
    _ x_TD: Tensor, weight weight_VD: Tensor, targets targets_T: Tensor,
    teacher: (hidden: Tensor, weight: Tensor)? = nil
  ) -> TokenStatistics {
    precondition(targets_T.dtype == .i32 && targets_T.count == x_TD.rows)
    let ce_T = empty([x_TD.rows], x_TD.dtype.statistic)
    let correct_T = empty([x_TD.rows], x_TD.dtype.statistic)
    let kl_T = teacher.map { _ in empty([x_TD.rows], x_TD.dtype.statistic) }
    let agreement_T = teacher.map { _ in empty([x_TD.rows], x_TD.dtype.statistic) }
    forEachLogitChunk(x_TD, weight_VD, teacher) { rows, logits_RV, teacher_RV in
      let targets_R = targets_T.slice(rows)
      backend.compareLargest(logits_RV, targets: targets_R, into: correct_T.slice(rows))
      if let teacher_RV, let agreement_T {
        backend.compareLargest(logits_RV, teacher_RV, into: agreement_T.slice(rows))
      }
      backend.crossEntropyRows(
        logits_RV, teacher: teacher_RV, targets: targets_R, gradient: nil,
        crossEntropy: ce_T.slice(rows), divergence: kl_T?.slice(rows))
    }
    return TokenStatistics(
      crossEntropy_T: ce_T, divergence_T: kl_T, agreement_T: agreement_T, correct_T: correct_T)
  }
}
