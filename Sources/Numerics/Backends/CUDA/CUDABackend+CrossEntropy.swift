extension CUDABackend {
  package func crossEntropyRows(
    _ logits_RV: Tensor, teacher teacher_RV: Tensor?, targets: Tensor, gradient: LossWeights?,
    crossEntropy: Tensor, divergence: Tensor?
  ) {
    let (rows, columns) = (logits_RV.rows, logits_RV.columns)
    guard rows > 0 else { return }
    let weights = gradient.map { floats($0.crossEntropy_T) }
    let share = gradient?.crossEntropy ?? 0
    if let teacher_RV {
      precondition(teacher_RV.dtype == logits_RV.dtype && divergence != nil)
      launch(
        "cross_entropy_rows_with_teacher", in: .crossEntropy, logits_RV.dtype,
        grid: (rows, 1, 1), block: threads(forLogits: columns), .tensor(logits_RV),
        .tensor(teacher_RV), .tensor(targets), .tensor(weights),
        .tensor(gradient.map { floats($0.distillation_T) }), .float(share),
        .float(gradient?.distillation ?? 0), .tensor(crossEntropy), .tensor(divergence),
        .int(columns))
    } else {
      launch(
        "cross_entropy_rows", in: .crossEntropy, logits_RV.dtype, grid: (rows, 1, 1),
        block: threads(forLogits: columns), .tensor(logits_RV), .tensor(targets),
        .tensor(weights), .float(share), .tensor(crossEntropy), .int(columns))
    }
  }

  package func weightedLossTotal(
    crossEntropy: Tensor, divergence: Tensor?, weights: LossWeights, into total: Tensor
  ) {
    launch(
      "weighted_loss_total", in: .crossEntropy, .f32, grid: (1, 1, 1), block: 1024,
      .tensor(crossEntropy), .tensor(divergence), .tensor(floats(weights.crossEntropy_T)),
      .tensor(floats(weights.distillation_T)), .float(weights.crossEntropy),
      .float(weights.distillation), .tensor(total), .long(crossEntropy.count))
  }

  package func compareLargest(_ a_RV: Tensor, _ b_RV: Tensor, into agreement_R: Tensor) {
    precondition(a_RV.dtype == b_RV.dtype && agreement_R.dtype == .f32)
    guard a_RV.rows > 0 else { return }
    launch(
      "largest_agree", in: .largest, a_RV.dtype, grid: (a_RV.rows, 1, 1),
      block: threads(forLogits: a_RV.columns), .tensor(a_RV), .tensor(b_RV),
      .tensor(agreement_R), .int(a_RV.columns))
  }

  package func compareLargest(_ logits_RV: Tensor, targets: Tensor, into correct_R: Tensor) {
    precondition(correct_R.dtype == .f32)
    guard logits_RV.rows > 0 else { return }
    launch(
      "largest_is_target", in: .largest, logits_RV.dtype, grid: (logits_RV.rows, 1, 1),
      block: threads(forLogits: logits_RV.columns), .tensor(logits_RV), .tensor(targets),
      .tensor(correct_R), .int(logits_RV.columns))
  }

  private func threads(forLogits columns: Int) -> Int { columns < 4096 ? 128 : 512 }
}
