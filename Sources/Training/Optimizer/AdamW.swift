import Numerics

/// AdamW (Loshchilov and Hutter 2019) with moments in the parameters' own type.
public final class AdamW: Optimizer {
  public let stateNames = ["moment1", "moment2"]
  private let betas: (Double, Double)
  private let epsilon: Double
  private let weightDecay: Double
  private var moments: [String: [Tensor]] = [:]

  /// - Parameter weightDecay: Decoupled decay of the entries that are decayed at all.
  public init(
    beta1: Double = 0.9, beta2: Double = 0.95, epsilon: Double = 1e-8, weightDecay: Double = 0
  ) {
    betas = (beta1, beta2)
    self.epsilon = epsilon
    self.weightDecay = weightDecay
  }

  public func state(of parameter: Parameter, in context: Context) -> [Tensor] {
    if let held = moments[parameter.name] { return held }
    let value = parameter.value
    let fresh = stateNames.map { _ in context.zeros(value.shape, value.dtype) }
    moments[parameter.name] = fresh
    return fresh
  }

  public func restore(_ tensors: [Tensor], of parameter: Parameter) {
    precondition(tensors.count == stateNames.count)
    moments[parameter.name] = tensors
  }

  public func step(
    _ step: Int, _ entries: [ParameterSelection.Entry], rateFactor: Double, gradientScale: Tensor?,
    in context: Context
  ) {
    for entry in entries {
      let parameter = entry.parameter
      guard let gradient = parameter.gradient else { continue }
      let state = state(of: parameter, in: context)
      context.adamW(
        value: parameter.value, gradient: gradient, moment1: state[0], moment2: state[1],
        step: step, learningRate: entry.learningRate * rateFactor, beta1: betas.0, beta2: betas.1,
        epsilon: epsilon, weightDecay: entry.isDecayed ? weightDecay : 0,
        gradientScale: gradientScale)
      parameter.gradient = nil
    }
  }
}
