import Numerics

/// Linear attention in all its settings (``LinearMixerConfiguration``).
final class LinearMixer: TokenMixer {
  let configuration: LinearMixerConfiguration
  private let features: LinearFeatures
  private let decay: LinearDecay
  private let value: LinearProjection
  private let head: LinearOutput

  /// - Parameters:
  ///   - prefix: The mixer's place, such as `model.layers.0.self_attn`.
  ///   - epsilon: ε of the mixer's own norms, unless it has one of its own.
  init(
    _ configuration: LinearMixerConfiguration, prefix: String, epsilon: Double,
    store: ParameterStore, in context: Context
  ) throws(ModelError) {
    if let refusal = configuration.refusal { throw ModelError("\(prefix): \(refusal)") }
    self.configuration = configuration
    let epsilon = configuration.normEpsilon ?? epsilon
    features = try LinearFeatures(
      configuration, prefix: prefix, epsilon: epsilon, store: store, in: context)
    value = try LinearProjection("\(prefix).v_proj", bias: false, store)
    decay = try LinearDecay(configuration, prefix: prefix, store: store, in: context)
    head = try LinearOutput(
      configuration, prefix: prefix, epsilon: epsilon, store: store, in: context)
  }

  var projections: [LinearProjection] {
    features.projections + [value] + decay.projections + head.projections
  }

  var parameters: [Parameter] {
    features.parameters + value.parameters + decay.parameters + head.parameters
  }

  func callAsFunction(
    _ x_TD: Tensor, norm: RMSNorm, layout: SequenceLayout, state: (any MixerState)?,
    in context: Context
  ) -> (output: Tensor, routing: Routing?) {
    let normed_TD = context.rmsNorm(x_TD, norm)
    let (decay, rest) = decay(normed_TD, in: context)
    let input = LinearInput(
      query: features.query(normed_TD, layout: layout, in: context),
      key: features.key(normed_TD, rest: rest, layout: layout, in: context),
      value: values(normed_TD, in: context), decay: decay)
    let mixed_TC = mix(input, layout: layout, state: state as? LinearState, in: context)
    return (head(mixed_TC, normed_TD, addedTo: x_TD, in: context), nil)
  }

  /// `[T, heads · valueDimension]`.
  private func values(_ x_TD: Tensor, in context: Context) -> Tensor {
    let size = configuration.valueDimension
    let mapped_TC = context.mapped(
      context.linear(x_TD, value.map), configuration.valueMap, headDimension: size)
    return context.repeatHeads(
      mapped_TC, dim: size, times: configuration.heads / configuration.keyHeads)
  }

  private func mix(
    _ input: LinearInput, layout: SequenceLayout, state: LinearState?, in context: Context
  ) -> Tensor {
    let (heads, scale) = (configuration.heads, configuration.scale)
    if let state, input.query.rows == 1 {
      return context.linearAttentionStep(
        query: input.query, key: input.key, value: input.value, heads: heads, scale: scale,
        decay: input.decay, state: state.memory)
    }
    precondition(
      state != nil || layout.documentOffsets != nil,
      "linear attention needs to know where documents begin: give the layout its offsets")
    let (output, final) = context.linearAttention(
      query: input.query, key: input.key, value: input.value, heads: heads, scale: scale,
      decay: input.decay, documentOffsets: state == nil ? layout.documentOffsets : nil,
      initialState: state?.memory)
    state?.memory = final.detached()
    return output
  }

  func makeState(capacity: Int, in context: Context) -> any MixerState {
    LinearState(
      context.zeros(
        [1, configuration.heads, configuration.stateDimension, configuration.valueDimension],
        decay.stateType))
  }
}

/// What linear attention takes.
private struct LinearInput {
  let query: Tensor
  let key: Tensor
  let value: Tensor
  let decay: LinearAttentionDecay
}

extension Context {
  /// The feature map of every head.
  func mapped(
    _ x_TC: Tensor, _ map: LinearMixerConfiguration.FeatureMap, headDimension: Int
  ) -> Tensor {
    switch map {
    case .elementwise(let activation): return activated(x_TC, activation)
    case .softmax:
      let heads = x_TC.columns / headDimension
      return softmax(x_TC.reshaped([x_TC.rows * heads, headDimension])).reshaped(x_TC.shape)
    }
  }
}

extension LinearMixerConfiguration {
  /// A mixer on its own, from parameters named as in `prefix`; none may be left over.
  ///
  /// - Parameter epsilon: ε of the mixer's own norms: the model's.
  public func mixer(
    prefix: String, epsilon: Double, parameters: [Parameter], in context: Context
  ) throws(ModelError) -> any TokenMixer {
    let isDouble = parameters.contains { $0.value.dtype == .f64 }
    let store = ParameterStore(parameters, computeType: isDouble ? .f64 : .f32)
    let mixer = try LinearMixer(
      self, prefix: prefix, epsilon: epsilon, store: store, in: context)
    try store.checkEmpty()
    return mixer
  }
}
