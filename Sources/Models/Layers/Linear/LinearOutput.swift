import Numerics

/// What follows linear attention: norm, gate and output projection.
struct LinearOutput {
  private let configuration: LinearMixerConfiguration
  private let norm: Parameter?
  /// The norm's weights where they are no parameters.
  private let ones: Tensor?
  private let gate: [LinearProjection]
  private let output: LinearProjection
  private let epsilon: Double

  init(
    _ configuration: LinearMixerConfiguration, prefix: String, epsilon: Double,
    store: ParameterStore, in context: Context
  ) throws(ModelError) {
    self.configuration = configuration
    self.epsilon = epsilon
    let width = configuration.heads * configuration.valueDimension
    var (norm, ones): (Parameter?, Tensor?)
    switch configuration.outputNorm {
    case .none: break
    case .full, .perHead: norm = try store.take("\(prefix).o_norm.weight")
    case .unweighted:
      ones = context.tensor([Double](repeating: 1, count: width), [width], store.computeType)
    }
    (self.norm, self.ones) = (norm, ones)
    var gate: [LinearProjection] = []
    for name in configuration.gateNames {
      gate.append(try LinearProjection("\(prefix).\(name)", bias: false, store))
    }
    self.gate = gate
    output = try LinearProjection("\(prefix).o_proj", bias: false, store)
  }

  var projections: [LinearProjection] { gate + [output] }

  var parameters: [Parameter] { (norm.map { [$0] } ?? []) + projections.flatMap(\.parameters) }

  /// - Parameters:
  ///   - mixed_TC: What linear attention gave, `[T, heads · e]`.
  ///   - near_TC: What softmax over the tokens just before gave, of the same shape; `nil` for none.
  ///   - normed_TD: The rows that were mixed.
  ///   - residual_TD: What the result is added to; `nil` for the result alone.
  func callAsFunction(
    _ mixed_TC: Tensor, near near_TC: Tensor?, _ normed_TD: Tensor, addedTo residual_TD: Tensor?,
    in context: Context
  ) -> Tensor {
    var y_TC = mixed_TC
    if let settings = configuration.gate {
      let gate_TC = gate.reduce(normed_TD) { context.linear($0, $1.map) }
      if settings.beforeNorm {
        y_TC = normalised(context.gated(y_TC, by: gate_TC, settings.activation), in: context)
      } else {
        y_TC = context.gated(normalised(y_TC, in: context), by: gate_TC, settings.activation)
      }
    } else {
      y_TC = normalised(y_TC, in: context)
    }
    if let near_TC { y_TC = context.scaled(context.add(y_TC, near_TC), by: 0.5) }
    return context.linear(y_TC, output.map, addedTo: residual_TD)
  }

  private func normalised(_ y_TC: Tensor, in context: Context) -> Tensor {
    guard let weight = norm?.tensor ?? ones else { return y_TC }
    let rows = y_TC.count / weight.count
    return context.rmsNorm(y_TC.reshaped([rows, weight.count]), weight: weight, epsilon: epsilon)
      .reshaped(y_TC.shape)
  }
}

extension LinearMixerConfiguration {
  /// Names of the gate's maps, in the order in which they follow each other.
  var gateNames: [String] {
    guard let gate else { return [] }
    return gate.rank == nil ? ["g_proj"] : ["g_proj.0", "g_proj.1"]
  }
}
