/// Kernels of losses over rows of logits.
package protocol CrossEntropyKernels {
  /// Per row: cross-entropy with its target and, with a teacher, KL(teacher ‖ student).
  ///
  /// Overwrites both arrays of logits. With `gradient`, the student's become the gradient of
  /// the rows' weighted losses.
  func crossEntropyRows(
    _ logits_RV: Tensor, teacher teacher_RV: Tensor?, targets: Tensor, gradient: LossWeights?,
    crossEntropy: Tensor, divergence: Tensor?)
  /// `total`, the weighted sum of all losses, summed in double.
  func weightedLossTotal(
    crossEntropy: Tensor, divergence: Tensor?, weights: LossWeights, into total: Tensor)
  /// `agreement_r = 1` where the rows' largest values have the same index, else 0.
  func compareLargest(_ a_RV: Tensor, _ b_RV: Tensor, into agreement_R: Tensor)
  /// `correct_r = 1` where the index of the row's largest value is the target, else 0.
  func compareLargest(_ logits_RV: Tensor, targets: Tensor, into correct_R: Tensor)
}

/// How much each token's losses count: `a · w_t · ce_t + b · v_t · KL_t`.
package struct LossWeights {
  /// `a`.
  package var crossEntropy: Double
  /// `w`, `[T]`.
  package var crossEntropy_T: Tensor
  /// `b`; 0 without a teacher.
  package var distillation: Double
  /// `v`, `[T]`.
  package var distillation_T: Tensor

  /// The same for some of the tokens.
  func slice(_ rows: Range<Int>) -> LossWeights {
    LossWeights(
      crossEntropy: crossEntropy, crossEntropy_T: crossEntropy_T.slice(rows),
      distillation: distillation, distillation_T: distillation_T.slice(rows))
  }
}

/// A language-model loss and its parts per token.
public struct LinearLoss {
  /// `Σ_t (a · w_t · ce_t + b · v_t · KL_t)`, a differentiable scalar.
  public let total: Tensor
  /// `-ln p(target)` of each token in nats, without weights; 0 for targets outside the vocabulary.
  public let crossEntropy_T: Tensor
  /// KL(teacher ‖ student) of each token in nats; `nil` without a teacher.
  public let divergence_T: Tensor?
}

extension Context {
  /// The cross-entropy of `softmax(x · weightᵀ)` with the targets, plus the divergence from a
  /// teacher (Hinton et al. 2015, at temperature 1), without ever holding all logits.
  ///
  /// Tokens are handled in chunks. While recording, each chunk's gradients are taken right after
  /// its forward pass, as its logits are at hand then; backward only scales them.
  ///
  /// - Parameters:
  ///   - x_TD: Final hidden states, `[T, D]`.
  ///   - weight_VD: The output head, `[V, D]`; the gradient of a 16-bit one is `f32`.
  ///   - targets_T: Token ids, `[T]` `i32`. Ids outside `0..<V` carry no cross-entropy.
  ///   - lossWeights_T: Weight `w` of each token's cross-entropy in the total, `[T]`.
  ///   - distillationWeights_T: Weight `v` of each token's divergence, `[T]`; `w` unless given.
  ///   - teacher: Hidden states `[T, D']` and head `[V, D']` of the teacher; no gradient flows.
  ///   - crossEntropy: Share `a` of the cross-entropy in the total.
  ///   - distillation: Share `b` of KL(teacher ‖ student) in the total.
  public func linearCrossEntropy(
    _ x_TD: Tensor, weight weight_VD: Tensor, targets targets_T: Tensor,
    lossWeights lossWeights_T: Tensor, distillationWeights distillationWeights_T: Tensor? = nil,
    teacher: (hidden: Tensor, weight: Tensor)? = nil, crossEntropy: Double = 1,
    distillation: Double = 0
  ) -> LinearLoss {
    precondition(targets_T.dtype == .i32 && targets_T.count == x_TD.rows)
    let dtype = x_TD.dtype.statistic
    let weights = LossWeights(
      crossEntropy: crossEntropy, crossEntropy_T: lossWeights_T,
      distillation: teacher == nil ? 0 : distillation,
      distillation_T: distillationWeights_T ?? lossWeights_T)
    for weights_T in [weights.crossEntropy_T, weights.distillation_T] {
      precondition(weights_T.dtype == dtype && weights_T.count == x_TD.rows)
    }
    let ce_T = empty([x_TD.rows], dtype)
    let kl_T = teacher.map { _ in empty([x_TD.rows], dtype) }
    let recorded = tape != nil && (x_TD.slot != nil || weight_VD.slot != nil)
    let dx_TD = recorded && x_TD.slot != nil ? empty(x_TD.shape, x_TD.dtype) : nil
    let dWeight_VD =
      recorded && weight_VD.slot != nil
      ? empty(weight_VD.shape, weight_VD.dtype.statistic) : nil

    forEachLogitChunk(x_TD, weight_VD, teacher) { rows, logits_RV, teacher_RV in
      backend.crossEntropyRows(
        logits_RV, teacher: teacher_RV, targets: targets_T.slice(rows),
        gradient: recorded ? weights.slice(rows) : nil, crossEntropy: ce_T.slice(rows),
        divergence: kl_T?.slice(rows))
      guard recorded else { return }
      let dLogits_RV = cast(logits_RV, to: x_TD.dtype)
      if let dx_TD {
        backend.matmul(
          dLogits_RV, transposeA: false, weight_VD, transposeB: false, alpha: 1,
          into: dx_TD.tokenRows(rows), accumulate: false)
      }
      if let dWeight_VD {
        backend.matmul(
          dLogits_RV, transposeA: true, x_TD.tokenRows(rows), transposeB: false, alpha: 1,
          into: dWeight_VD, accumulate: rows.lowerBound > 0)
      }
    }

    let total = empty([], dtype)
    backend.weightedLossTotal(
      crossEntropy: ce_T, divergence: kl_T, weights: weights, into: total)
    return LinearLoss(
      total: record(
        total, from: [x_TD, weight_VD],
        LinearLossNode(parts: [(x_TD.slot, dx_TD), (weight_VD.slot, dWeight_VD)])),
      crossEntropy_T: ce_T, divergence_T: kl_T)
  }

  /// Calls `body` with consecutive rows of the student's and the teacher's logits; both arrays are
  /// reused from chunk to chunk.
  func forEachLogitChunk(
    _ x_TD: Tensor, _ weight_VD: Tensor, _ teacher: (hidden: Tensor, weight: Tensor)?,
    _ body: (_ rows: Range<Int>, _ logits_RV: Tensor, _ teacher_RV: Tensor?) -> Void
  ) {
    let (tokens, vocabulary) = (x_TD.rows, weight_VD.shape[0])
    precondition(weight_VD.columns == x_TD.columns, "head \(weight_VD.shape) for \(x_TD.shape)")
    if let teacher {
      precondition(teacher.weight.shape[0] == vocabulary, "the teacher has another vocabulary")
      precondition(teacher.hidden.rows == tokens && teacher.hidden.dtype == x_TD.dtype)
    }
    let chunk = min(tokens, backend.logitRows)
    let student = empty([chunk, vocabulary], x_TD.dtype.statistic)
    let reference = teacher.map { _ in empty([chunk, vocabulary], x_TD.dtype.statistic) }
    for start in stride(from: 0, to: tokens, by: max(1, chunk)) {
      let rows = start..<min(tokens, start + chunk)
      let logits_RV = student.slice(0..<rows.count)
      backend.matmul(
        x_TD.tokenRows(rows), transposeA: false, weight_VD, transposeB: true, alpha: 1,
        into: logits_RV, accumulate: false)
      let teacher_RV = reference?.slice(0..<rows.count)
      if let teacher, let teacher_RV {
        backend.matmul(
          teacher.hidden.tokenRows(rows), transposeA: false, teacher.weight, transposeB: true,
          alpha: 1, into: teacher_RV, accumulate: false)
      }
      body(rows, logits_RV, teacher_RV)
    }
  }
}

extension Tensor {
  /// Rows `range` of the tensor seen as a matrix, without gradient.
  func tokenRows(_ range: Range<Int>) -> Tensor { reshaped([rows, columns]).slice(range) }
}

/// Holds gradients for an upstream gradient of 1.
private struct LinearLossNode: TapeNode {
  let parts: [(slot: GradientSlot?, gradient: Tensor?)]

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let upstream = gradients[0] else { return }
    for case (let slot?, let gradient?) in parts {
      context.backend.scale(
        gradient, by: 1, times: upstream, into: gradient, accumulate: false)
      context.accumulate(gradient, into: slot)
    }
  }
}
