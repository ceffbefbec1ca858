import Numerics

/// Compares an operation's gradients with central differences, in Double.
///
/// Every parameter is moved along a few random directions; the change of the loss must equal the
/// gradient's component along that direction.
///
/// - Parameters:
///   - parameters: The inputs to differentiate, all `f64`.
///   - loss: Computes a scalar from the parameters; called with and without recording.
/// - Returns: The largest relative disagreement, with a floor on the scale of 1.
public func gradientDisagreement(
  _ context: Context, _ parameters: [Parameter], directions: Int = 3, step: Double = 1e-5,
  seed: UInt64 = 1, loss: (Context) -> Tensor
) -> Double {
  for parameter in parameters {
    precondition(parameter.value.dtype == .f64)
    parameter.isTrainable = true
    parameter.gradient = nil
  }
  context.recording { loss(context) }
  var random = RandomStream(seed: seed)
  var worst = 0.0
  for parameter in parameters {
    let original = parameter.value
    let values = context.readDoubles(original)
    let gradient =
      parameter.gradient.map(context.readDoubles) ?? [Double](repeating: 0, count: values.count)
    for _ in 0..<directions {
      let direction = values.map { _ in random.uniform() * 2 - 1 }
      func moved(_ amount: Double) -> Double {
        let shifted = zip(values, direction).map { $0 + amount * $1 }
        parameter.value = context.tensor(shifted, original.shape)
        defer { parameter.value = original }
        return context.readScalar(loss(context))
      }
      let numeric = (moved(step) - moved(-step)) / (2 * step)
      let analytic = zip(gradient, direction).reduce(0) { $0 + $1.0 * $1.1 }
      let error = abs(numeric - analytic) / max(1, abs(numeric), abs(analytic))
      worst = error.isFinite ? max(worst, error) : .infinity
    }
    parameter.gradient = nil
  }
  return worst
}

extension Context {
  /// A seeded tensor with entries uniform in [-1, 1].
  public func randomTensor(_ shape: [Int], _ dtype: DType, seed: UInt64) -> Tensor {
    var random = RandomStream(seed: seed, purpose: 7)
    let values = (0..<shape.reduce(1, *)).map { _ in random.uniform() * 2 - 1 }
    return tensor(values, shape, dtype)
  }

  /// `Σ y · w` with fixed pseudo-random `w`: turns any output into a scalar whose gradient
  /// distinguishes its elements.
  public func probe(_ y: Tensor, seed: UInt64 = 99) -> Tensor {
    let weights = randomTensor([1, y.count], y.dtype, seed: seed)
    return linear(y.reshaped([1, y.count]), weight: weights).reshaped([])
  }
}
