import Numerics

/// AdamW (Loshchilov and Hutter 2019) with moments in the parameters' own type.
public final class AdamW: Optimizer {
  private let settings: AdamWSettings
  private var states = OptimizerStates()

  /// An optimizer without state yet.
  public init(_ settings: AdamWSettings = AdamWSettings()) { self.settings = settings }

  public func stateLayout(of parameter: Parameter) -> [OptimizerState] {
    let value = parameter.value
    return ["moment1", "moment2"].map { OptimizerState($0, value.shape, value.dtype) }
  }

  public func state(of parameter: Parameter, in context: Context) -> [Tensor] {
    states.tensors(of: parameter, stateLayout(of: parameter), in: context)
  }

  public func restore(_ tensors: [Tensor], of parameter: Parameter) {
    states.restore(tensors, of: parameter)
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
        step: step, learningRate: entry.learningRate * rateFactor, beta1: settings.beta1,
        beta2: settings.beta2, epsilon: settings.epsilon,
        weightDecay: entry.isDecayed ? settings.weightDecay : 0, gradientScale: gradientScale)
      parameter.gradient = nil
    }
  }
}
