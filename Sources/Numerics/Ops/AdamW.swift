import Glibc

/// Kernels of the optimizer.
package protocol AdamWKernels {
  /// One step, in place on `value` and both moments.
  func adamW(
    value: Tensor, gradient: Tensor, moment1: Tensor, moment2: Tensor, _ step: AdamWStep,
    gradientScale: Tensor?)
  /// `norm = √(Σ over all tensors of x²)`, summed in double.
  func globalNorm(_ tensors: [Tensor], into norm: Tensor)
  /// `factor = min(1, maximum / norm)`.
  func clipFactor(norm: Tensor, maximum: Double, into factor: Tensor)
}

/// The numbers of one AdamW step.
package struct AdamWStep: Sendable {
  /// Counts from 1.
  package var step: Int
  package var learningRate: Double
  package var beta1: Double
  package var beta2: Double
  package var epsilon: Double
  package var weightDecay: Double

  // expm1 keeps 1 - β^s exact to the last bits also for β close to 1.
  /// `1 - β₁ˢ`.
  package var correction1: Double { -expm1(Double(step) * log(beta1)) }
  /// `1 - β₂ˢ`.
  package var correction2: Double { -expm1(Double(step) * log(beta2)) }
}

extension Context {
  /// One AdamW step (Loshchilov and Hutter 2019, algorithm 2), in place.
  ///
  /// `m ← β₁m + (1-β₁)g`, `v ← β₂v + (1-β₂)g²`,
  /// `value ← (1 - ηλ) · value - η · m̂ / (√v̂ + ε)` with `m̂ = m / (1-β₁ˢ)`, `v̂ = v / (1-β₂ˢ)`.
  ///
  /// - Parameters:
  ///   - value: The parameter; it and both moments (zeros before step 1) share shape and type.
  ///   - gradient: Its gradient.
  ///   - step: `s`, counting from 1.
  ///   - learningRate: `η`.
  ///   - weightDecay: `λ`, decoupled from the gradient.
  ///   - gradientScale: A scalar the gradient is multiplied with, such as a clip factor.
  public func adamW(
    value: Tensor, gradient: Tensor, moment1: Tensor, moment2: Tensor, step: Int,
    learningRate: Double, beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double,
    gradientScale: Tensor? = nil
  ) {
    precondition(step >= 1 && value.dtype.isReal, "adamW: step \(step) on \(value.dtype)")
    for tensor in [gradient, moment1, moment2] {
      precondition(tensor.count == value.count && tensor.dtype == value.dtype)
    }
    backend.adamW(
      value: value, gradient: gradient, moment1: moment1, moment2: moment2,
      AdamWStep(
        step: step, learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
        weightDecay: weightDecay),
      gradientScale: gradientScale)
  }

  /// The Euclidean norm of all tensors together, a scalar; 0 for none. Not differentiable.
  public func globalNorm(_ tensors: [Tensor]) -> Tensor {
    let norm = empty([], tensors.first?.dtype ?? .f32)
    backend.globalNorm(tensors, into: norm)
    return norm
  }

  /// `min(1, maximum / norm)`: what gradients are multiplied with so that their norm stays within
  /// `maximum` (Pascanu et al. 2013). Not a number when the norm is not.
  public func clipFactor(norm: Tensor, maximum: Double) -> Tensor {
    let factor = empty([], norm.dtype)
    backend.clipFactor(norm: norm, maximum: maximum, into: factor)
    return factor
  }
}
