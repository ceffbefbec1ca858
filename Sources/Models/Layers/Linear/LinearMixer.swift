import Numerics

/// Linear attention in all its settings (``LinearMixerConfiguration``).
final class LinearMixer: TokenMixer {
  let configuration: LinearMixerConfiguration
  private let features: LinearFeatures
  private let decay: LinearDecay
  private let value: LinearProjection
  /// What share a token replaces, by the delta rule.
  private let beta: LinearProjection?
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
    beta =
      configuration.update == .delta
      ? try LinearProjection("\(prefix).b_proj", bias: false, store) : nil
    head = try LinearOutput(
      configuration, prefix: prefix, epsilon: epsilon, store: store, in: context)
  }

  var projections: [LinearProjection] {
    features.projections + [value] + decay.projections + (beta.map { [$0] } ?? [])
      + head.projections
  }

  var parameters: [Parameter] {
    features.parameters + value.parameters + decay.parameters + (beta?.parameters ?? [])
      + head.parameters
  }

  func callAsFunction(
    _ x_TD: Tensor, norm: RMSNorm, addedTo residual_TD: Tensor?, layout: SequenceLayout,
    state: (any MixerState)?, in context: Context
  ) -> (output: Tensor, routing: Routing?) {
    let normed_TD = context.rmsNorm(x_TD, norm)
    let (decay, rest) = decay(normed_TD, in: context)
    let projected = features.projected(normed_TD, rest: rest, in: context)
    let value_TC = context.linear(normed_TD, value.map)
    let state = state as? LinearState
    let (query, key) = features.finished(projected, layout: layout, in: context)
    let input = LinearInput(
      query: query, key: key, value: values(value_TC, decay, in: context),
      decay: decay,
      beta: beta.map { context.activated(context.linear(normed_TD, $0.map), .sigmoid) })
    let mixed_TC = input.mixed(
      heads: configuration.heads, scale: configuration.scale, layout: layout, state: state,
      in: context)
    let near_TC = configuration.window.map { window in
      attend(
        features.turned(projected, layout: layout, in: context), value_TC, window: window,
        layout: layout, cache: state?.window, in: context)
    }
    return (head(mixed_TC, near: near_TC, normed_TD, addedTo: residual_TD, in: context), nil)
  }

  /// Softmax attention over the tokens just before, `[T, heads · d]`.
  private func attend(
    _ projected: (query: Tensor, key: Tensor), _ value_TC: Tensor, window: Int,
    layout: SequenceLayout, cache: KeyValueCache?, in context: Context
  ) -> Tensor {
    var (key, value) = (projected.key, value_TC)
    var offset = 0
    if let cache {
      let all = cache.extended(by: value_TC.rows, in: context)
      offset = all.key.rows - value_TC.rows
      context.copy(key, into: all.key.slice(offset..<all.key.rows))
      context.copy(value, into: all.value.slice(offset..<all.value.rows))
      (key, value) = all
    }
    return context.attention(
      query: projected.query, key: key, value: value, heads: configuration.heads,
      keyHeads: configuration.keyHeads,
      scale: 1 / Double(configuration.keyDimension).squareRoot(),
      documentStarts: cache == nil ? layout.documentStarts_T : nil, queryOffset: offset,
      window: window)
  }

  /// `[T, heads · valueDimension]`; with a selective decay multiplied with the token's steps.
  private func values(
    _ value_TC: Tensor, _ decay: LinearAttentionDecay, in context: Context
  ) -> Tensor {
    let size = configuration.valueDimension
    let mapped_TC = context.mapped(value_TC, configuration.valueMap, headDimension: size)
    let repeated_TC = context.repeatHeads(
      mapped_TC, dim: size, times: configuration.heads / configuration.keyHeads)
    guard configuration.decay == .selective, case .elementwise(let step_TE, _) = decay else {
      return repeated_TC
    }
    let step = context.converted(step_TE, to: repeated_TC.dtype)
    return context.gated(repeated_TC, by: step, .none)
  }

  func makeState(capacity: Int, in context: Context) -> any MixerState {
    let memory = context.zeros(
      [1, configuration.heads, configuration.stateDimension, configuration.valueDimension],
      decay.stateType)
    return LinearState(
      memory,
      window: configuration.window.map { window in
        KeyValueCache(
          columns: configuration.keyHeads * configuration.keyDimension,
          capacity: capacity, window: window,
          dtype: context.activationType(for: decay.stateType), in: context)
      })
  }
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
  package func mixer(
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
