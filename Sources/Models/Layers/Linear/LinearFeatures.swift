import Numerics

/// Queries and keys of a linear mixer: the shrink and the expand state.
struct LinearFeatures {
  private let configuration: LinearMixerConfiguration
  private let querySource: Source
  private let keySource: Source
  private let queryNorm: Parameter?
  private let keyNorm: Parameter?
  private let epsilon: Double
  /// The weight of an RMSNorm that gives heads the length 1; `nil` where they keep theirs.
  private let unit: Tensor?
  /// Learned angles of LRPE.
  private let theta: Parameter?
  /// Fixed angles: frequencies of rotary positions or angles of LRPE-cos.
  private let angles: Tensor?

  private enum Source {
    case projection(LinearProjection)
    case parameter(Parameter)
    case complement
  }

  init(
    _ configuration: LinearMixerConfiguration, prefix: String, epsilon: Double,
    store: ParameterStore, in context: Context
  ) throws(ModelError) {
    self.configuration = configuration
    self.epsilon = epsilon
    func source(_ kind: LinearMixerConfiguration.Source, _ name: String, _ parameter: String)
      throws(ModelError) -> Source
    {
      switch kind {
      case .projected: .projection(try LinearProjection("\(prefix).\(name)", bias: false, store))
      case .learned: .parameter(try store.take("\(prefix).\(parameter)"))
      case .complement: .complement
      }
    }
    querySource = try source(configuration.shrink, "q_proj", "shrink")
    keySource = try source(configuration.expand, "k_proj", "expand")
    let hasNorm = configuration.queryKeyNorm
    queryNorm = hasNorm ? try store.take("\(prefix).q_norm.weight") : nil
    keyNorm = hasNorm ? try store.take("\(prefix).k_norm.weight") : nil
    let dim = configuration.keyDimension
    unit =
      configuration.queryKeyL2Norm
      ? context.tensor(
        [Double](repeating: 1 / Double(dim).squareRoot(), count: dim), [dim], store.computeType)
      : nil
    theta = configuration.positions == .lrpe ? try store.take("\(prefix).lrpe.theta") : nil
    angles = configuration.fixedAngles.map {
      context.tensor($0, [1, $0.count], store.computeType)
    }
  }

  var projections: [LinearProjection] {
    [querySource, keySource].compactMap {
      if case .projection(let projection) = $0 { projection } else { nil }
    }
  }

  var parameters: [Parameter] {
    [querySource, keySource].flatMap { source -> [Parameter] in
      switch source {
      case .projection(let projection): projection.parameters
      case .parameter(let parameter): [parameter]
      case .complement: []
      }
    } + [queryNorm, keyNorm, theta].compactMap { $0 }
  }

  /// Queries `[T, heads · d]` and keys `[T, keyHeads · d]` of normalised rows, as projected.
  ///
  /// - Parameter rest: What the forget gate does not keep, `[T, keyHeads · d]`.
  func projected(_ x_TD: Tensor, rest: Tensor?, in context: Context) -> (query: Tensor, key: Tensor)
  {
    (
      raw(querySource, x_TD, rest: nil, in: context), raw(keySource, x_TD, rest: rest, in: context)
    )
  }

  /// Projected queries and keys as linear attention takes them, both `[T, heads · d]`: `d` doubled by
  /// LRPE, key heads repeated.
  func finished(
    _ raw: (query: Tensor, key: Tensor), layout: SequenceLayout, in context: Context
  ) -> (query: Tensor, key: Tensor) {
    (
      finished(
        raw.query, norm: queryNorm, configuration.queryMap, heads: configuration.heads, layout,
        in: context),
      finished(
        raw.key, norm: keyNorm, configuration.keyMap, heads: configuration.keyHeads, layout,
        in: context)
    )
  }

  /// Projected queries and keys turned by position and nothing else.
  func turned(
    _ raw: (query: Tensor, key: Tensor), layout: SequenceLayout, in context: Context
  ) -> (query: Tensor, key: Tensor) {
    guard case .rope = configuration.positions, let angles else { return raw }
    func turned(_ x_TC: Tensor, _ heads: Int) -> Tensor {
      context.rope(
        x_TC, positions: layout.positions_T, inverseFrequencies: angles, heads: heads)
    }
    return (turned(raw.query, configuration.heads), turned(raw.key, configuration.keyHeads))
  }

  private func raw(_ source: Source, _ x_TD: Tensor, rest: Tensor?, in context: Context) -> Tensor {
    switch source {
    case .projection(let projection): return context.linear(x_TD, projection.map)
    case .parameter(let parameter): return parameter.rows(like: x_TD, in: context)
    case .complement:
      guard let rest else { preconditionFailure("a complement without a gate") }
      return rest
    }
  }

  private func finished(
    _ raw_TC: Tensor, norm: Parameter?, _ map: LinearMixerConfiguration.FeatureMap, heads: Int,
    _ layout: SequenceLayout, in context: Context
  ) -> Tensor {
    let dim = configuration.keyDimension
    var x_TC = raw_TC
    func normalised(_ x_TC: Tensor, _ weight: Tensor, _ epsilon: Double) -> Tensor {
      let byHead = x_TC.reshaped([x_TC.rows * heads, dim])
      return context.rmsNorm(byHead, weight: weight, epsilon: epsilon).reshaped(raw_TC.shape)
    }
    if let norm { x_TC = normalised(x_TC, norm.tensor, epsilon) }
    x_TC = context.mapped(x_TC, map, headDimension: dim)
    // The mean of squares is the squared length over d: so is what is added to it.
    if let unit { x_TC = normalised(x_TC, unit, 1e-6 / Double(dim)) }
    if case .rope = configuration.positions, let angles {
      x_TC = context.rope(
        x_TC, positions: layout.positions_T, inverseFrequencies: angles, heads: heads)
    }
    x_TC = context.repeatHeads(x_TC, dim: dim, times: configuration.heads / heads)
    switch configuration.positions {
    case .none, .rope: return x_TC
    case .lrpe, .lrpeCosine:
      guard let theta = theta?.tensor ?? angles else { return x_TC }
      return context.lrpe(
        x_TC, theta: theta, positions: layout.positions_T, heads: configuration.heads)
    }
  }
}

extension LinearMixerConfiguration {
  /// Radians per position that are no parameters.
  fileprivate var fixedAngles: [Double]? {
    switch positions {
    case .none, .lrpe: return nil
    case .rope(let rope): return rope.inverseFrequencies(headDimension: keyDimension)
    case .lrpeCosine(let base):
      let half = keyDimension / 2
      let frequencies = RoPEConfiguration(theta: base).inverseFrequencies(
        headDimension: keyDimension)
      return frequencies.prefix(half) + [Double](repeating: 0, count: keyDimension - half)
    }
  }
}
