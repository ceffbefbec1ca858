import CKernels

extension CPUBackend {
  package func adamW(
    value: Tensor, gradient: Tensor, moment1: Tensor, moment2: Tensor, _ step: AdamWStep,
    gradientScale: Tensor?
  ) {
    let kernel = kernels(value.dtype).adamw
    withUnsafePointer(to: rates(step, gradientScale)) { settings in
      pool.forRanges(value.count, minimum: parallelGrain) { range in
        let i = range.lowerBound
        kernel?(
          value.pointer(at: i), gradient.pointer(at: i), moment1.pointer(at: i),
          moment2.pointer(at: i), range.count, settings)
      }
    }
  }

  /// A step's numbers as kernels take them.
  func rates(_ step: AdamWStep, _ gradientScale: Tensor?) -> hk_adamw {
    hk_adamw(
      learning_rate: step.learningRate, beta1: step.beta1, beta2: step.beta2,
      epsilon: step.epsilon, weight_decay: step.weightDecay, correction1: step.correction1,
      correction2: step.correction2,
      gradient_scale: gradientScale.map { downloadDoubles($0)[0] } ?? 1)
  }

  package func globalNorm(_ tensors: [Tensor], into norm: Tensor) {
    upload([tensors.reduce(0) { $0 + sumOfSquares($1) }.squareRoot()], into: norm)
  }

  package func clipFactor(norm: Tensor, maximum: Double, into factor: Tensor) {
    // In this order a norm that is not a number stays visible.
    let ratio = maximum / downloadDoubles(norm)[0]
    upload([ratio > 1 ? 1 : ratio], into: factor)
  }
}
