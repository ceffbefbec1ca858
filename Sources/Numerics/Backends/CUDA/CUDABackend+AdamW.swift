extension CUDABackend {
  package func adamW(
    value: Tensor, gradient: Tensor, moment1: Tensor, moment2: Tensor, _ step: AdamWStep,
    gradientScale: Tensor?
  ) {
    precondition(value.dtype == .f32 && gradient.dtype == .f32, "adamW on \(value.dtype)")
    value.storage.conversion = nil
    guard value.count > 0 else { return }
    launch(
      "adamw", in: .adamw, .f32, grid: (value.blocksOfVectors, 1, 1), block: 256,
      .tensor(value), .tensor(gradient), .tensor(moment1), .tensor(moment2), .long(value.count),
      .float(step.beta1), .float(1 - step.beta1), .float(step.beta2), .float(1 - step.beta2),
      .float(1 - step.learningRate * step.weightDecay),
      .float(step.learningRate / step.correction1),
      .float(1 / step.correction2.squareRoot()), .float(step.epsilon),
      .tensor(gradientScale.map(floats)))
  }

  package func globalNorm(_ tensors: [Tensor], into norm: Tensor) {
    // Fixed by the sizes alone, so that sums do not depend on the GPU.
    let parts = tensors.map { min(512, $0.count.groups(of: 1024 * $0.dtype.vectorWidth)) }
    let total = parts.reduce(0, +)
    let partial = scratch([max(1, total)], .f64)
    var start = 0
    for (tensor, parts) in zip(tensors, parts) where parts > 0 {
      launch(
        "squares_partial", in: .adamw, tensor.dtype, grid: (parts, 1, 1), block: 256,
        .tensor(tensor), .tensor(partial.slice(start..<start + parts)), .long(tensor.count))
      start += parts
    }
    launch(
      "norm_finish", in: .adamw, .f32, grid: (1, 1, 1), block: 1024, .tensor(partial),
      .int(total), .tensor(norm))
  }

  package func clipFactor(norm: Tensor, maximum: Double, into factor: Tensor) {
    launch(
      "clip_factor", in: .adamw, .f32, grid: (1, 1, 1), block: 1, .tensor(norm),
      .float(maximum), .tensor(factor))
  }
}
