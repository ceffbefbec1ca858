import Numerics

/// The oscillation of a linear mixer: what is left of the memory from token to token.
struct LinearDecay {
  private let configuration: LinearMixerConfiguration
  private let slopes: Tensor?
  /// The step that all tokens have, `[heads · e]`.
  private let steps: Tensor?
  private let parameter: Parameter?
  private let projection: LinearProjection?
  /// Of the gate of value channels.
  private let valueProjection: LinearProjection?
  /// The table of lower bounds, which layers share.
  private let bounds: Parameter?
  /// The type of memories.
  let stateType: DType

  init(
    _ configuration: LinearMixerConfiguration, prefix: String, store: ParameterStore,
    in context: Context
  ) throws(ModelError) {
    self.configuration = configuration
    stateType = store.computeType
    var (slopes, parameter): (Tensor?, Parameter?)
    var projection: LinearProjection?
    switch configuration.decay {
    case .none: break
    case .fixed(_, let values):
      slopes = context.tensor(values, [values.count], store.computeType)
    case .learned: parameter = try store.take("\(prefix).decay")
    case .elementwise, .selective: parameter = try store.take("\(prefix).log_rate")
    case .headGate, .channelGate, .outer:
      projection = try LinearProjection("\(prefix).f_proj", bias: false, store)
    }
    if case .selective = configuration.decay {
      projection = try LinearProjection("\(prefix).step_proj", bias: true, store)
    }
    if case .elementwise(let temperature) = configuration.decay {
      let count = configuration.heads * configuration.valueDimension
      steps = context.tensor(
        [Double](repeating: 1 / temperature, count: count), [count], store.computeType)
    } else {
      steps = nil
    }
    if case .outer = configuration.decay {
      valueProjection = try LinearProjection("\(prefix).f_value_proj", bias: false, store)
    } else {
      valueProjection = nil
    }
    (self.slopes, self.parameter, self.projection) = (slopes, parameter, projection)
    bounds = configuration.lowerBound == nil ? nil : try store.share(ParameterName.lowerBounds)
  }

  var projections: [LinearProjection] { [projection, valueProjection].compactMap { $0 } }

  /// Without the table, which is the model's.
  var parameters: [Parameter] {
    (parameter.map { [$0] } ?? []) + projections.flatMap(\.parameters)
  }

  /// The decay of normalised rows; what a gate does not keep, `[T, keyHeads · d]`, where the expand state
  /// is that.
  func callAsFunction(_ x_TD: Tensor, in context: Context) -> (
    decay: LinearAttentionDecay, rest: Tensor?
  ) {
    let (heads, dim) = (configuration.heads, configuration.stateDimension)
    switch configuration.decay {
    case .none: return (.none, nil)
    case .fixed:
      guard let slopes else { return (.none, nil) }
      return (.constant(slopes_H: slopes), nil)
    case .learned(let perChannel, let temperature):
      guard let parameter else { return (.none, nil) }
      let values = parameter.tensor.reshaped([1, parameter.value.count])
      let log_C = context.decayGate(values, temperature: temperature).logDecay
      guard perChannel else {
        return (.constant(slopes_H: context.scaled(log_C, by: -1).reshaped([heads])), nil)
      }
      return (.vector(logDecay_TC: context.repeatRow(log_C, count: x_TD.rows)), nil)
    case .headGate(let temperature):
      guard let projection else { return (.none, nil) }
      let log_TH = context.decayGate(
        context.linear(x_TD, projection.map), temperature: temperature
      ).logDecay
      return (.vector(logDecay_TC: context.repeatHeads(log_TH, dim: 1, times: dim)), nil)
    case .outer(let temperature):
      guard let projection, let valueProjection else { return (.none, nil) }
      func gate(_ projection: LinearProjection, _ dim: Int) -> Tensor {
        let log = context.decayGate(
          context.linear(x_TD, projection.map), temperature: temperature
        ).logDecay
        return context.repeatHeads(log, dim: dim, times: heads / configuration.keyHeads)
      }
      let decay = LinearAttentionDecay.outer(
        logDecay_TC: gate(projection, dim),
        valueLogDecay_TE: gate(valueProjection, configuration.valueDimension))
      return (decay, nil)
    case .elementwise:
      guard let parameter, let steps else { return (.none, nil) }
      let decay = LinearAttentionDecay.elementwise(
        step_TE: context.repeatRow(steps, count: x_TD.rows), logRate_KE: parameter.tensor)
      return (decay, nil)
    case .selective:
      guard let parameter, let projection else { return (.none, nil) }
      let step_TE = context.repeatHeads(
        context.selectiveStep(x_TD, projection.map), dim: configuration.valueDimension,
        times: heads / configuration.keyHeads)
      return (.elementwise(step_TE: step_TE, logRate_KE: parameter.tensor), nil)
    case .channelGate(let bound, let temperature):
      guard let projection else { return (.none, nil) }
      // Row 0 of the table is 0 whatever the table holds.
      let lowerBound = bound.flatMap { bound in
        bound.row == 0 ? nil : bounds.map { context.lowerBound($0.tensor, row: bound.row) }
      }
      let (log_TC, rest_TC) = context.decayGate(
        context.linear(x_TD, projection.map), lowerBound: lowerBound, temperature: temperature,
        givesRest: configuration.expand == .complement)
      let decay_TC = context.repeatHeads(
        log_TC, dim: dim, times: heads / configuration.keyHeads)
      return (.vector(logDecay_TC: decay_TC), rest_TC)
    }
  }
}
