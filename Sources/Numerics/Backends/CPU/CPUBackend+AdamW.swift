import CKernels
import Glibc

extension CPUBackend {
  package func adamW(
    value: Tensor, gradient: Tensor, moment1: Tensor, moment2: Tensor, _ step: AdamWStep,
    gradientScale: Tensor?
  ) {
    let kernel = kernels(value.dtype).adamw
    // expm1 keeps 1 - β^s exact to the last bits also for β close to 1.
    let settings = hk_adamw(
      learning_rate: step.learningRate, beta1: step.beta1, beta2: step.beta2,
      epsilon: step.epsilon, weight_decay: step.weightDecay,
      correction1: -expm1(Double(step.step) * log(step.beta1)),
      correction2: -expm1(Double(step.step) * log(step.beta2)),
      gradient_scale: gradientScale.map { downloadDoubles($0)[0] } ?? 1)
    withUnsafePointer(to: settings) { settings in
      pool.forRanges(value.count, minimum: parallelGrain) { range in
        let i = range.lowerBound
        kernel?(
          value.pointer(at: i), gradient.pointer(at: i), moment1.pointer(at: i),
          moment2.pointer(at: i), range.count, settings)
      }
    }
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
