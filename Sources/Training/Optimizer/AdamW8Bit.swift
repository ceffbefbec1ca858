import Numerics

/// AdamW with both moments in 8 bits (Dettmers et al. 2022): two bytes and 1/32 of one a parameter
/// instead of eight. Matrices may be `bf16`; they are then rounded at random, without a copy in `f32`.
///
/// Vectors and small matrices keep moments in full precision: they are few and steer much.
public final class AdamW8Bit: Optimizer {
  private let settings: AdamWSettings
  private let seed: UInt64
  private let fewestElements: Int
  private let full: AdamW
  private var states = OptimizerStates()

  /// An optimizer without state yet.
  /// - Parameters:
  ///   - seed: Of the random rounding of `bf16` weights.
  ///   - fewestElements: `f32` matrices of fewer keep moments in full precision.
  public init(
    _ settings: AdamWSettings = AdamWSettings(), seed: UInt64 = 0, fewestElements: Int = 4096
  ) {
    self.settings = settings
    self.seed = seed
    self.fewestElements = fewestElements
    full = AdamW(settings)
  }

  private func isQuantized(_ parameter: Parameter) -> Bool {
    let value = parameter.value
    // There is no other step for 16-bit values than the one that rounds at random.
    return !value.dtype.isReal || value.shape.count > 1 && value.count >= fewestElements
  }

  public func stateLayout(of parameter: Parameter) -> [OptimizerState] {
    guard isQuantized(parameter) else { return full.stateLayout(of: parameter) }
    let value = parameter.value
    let scales = [QuantizedMoment.scaleCount(value.count)]
    return ["moment1", "moment2"].flatMap {
      [
        OptimizerState("\($0).codes", value.shape, .u8),
        OptimizerState("\($0).scales", scales, .f32),
      ]
    }
  }

  public func state(of parameter: Parameter, in context: Context) -> [Tensor] {
    guard isQuantized(parameter) else { return full.state(of: parameter, in: context) }
    return states.tensors(of: parameter, stateLayout(of: parameter), in: context)
  }

  public func restore(_ tensors: [Tensor], of parameter: Parameter) {
    guard isQuantized(parameter) else { return full.restore(tensors, of: parameter) }
    states.restore(tensors, of: parameter)
  }

  public func step(
    _ step: Int, _ entries: [ParameterSelection.Entry], rateFactor: Double, gradientScale: Tensor?,
    in context: Context
  ) {
    full.step(
      step, entries.filter { !isQuantized($0.parameter) }, rateFactor: rateFactor,
      gradientScale: gradientScale, in: context)
    for entry in entries where isQuantized(entry.parameter) {
      let parameter = entry.parameter
      guard let gradient = parameter.gradient else { continue }
      let state = state(of: parameter, in: context)
      context.adamW8Bit(
        value: parameter.value, gradient: gradient,
        moment1: QuantizedMoment(codes: state[0], scales: state[1]),
        moment2: QuantizedMoment(codes: state[2], scales: state[3]), step: step,
        learningRate: entry.learningRate * rateFactor, beta1: settings.beta1,
        beta2: settings.beta2, epsilon: settings.epsilon,
        weightDecay: entry.isDecayed ? settings.weightDecay : 0, gradientScale: gradientScale,
        rounding: roundingKey(parameter))
      parameter.gradient = nil
    }
  }

  /// Seed and name in one number: the name by FNV-1a, both through SplitMix64.
  private func roundingKey(_ parameter: Parameter) -> UInt64 {
    let name = parameter.name.utf8.reduce(0xcbf2_9ce4_8422_2325) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01b3
    }
    var stream = RandomStream(seed: seed, purpose: name)
    return stream.next()
  }
}
