import Numerics

/// `down · (activation(gate · x) ⊙ (up · x))` (Shazeer 2020), silu as a rule.
final class DenseMLP: FeedForward {
  private let gate: LinearProjection
  private let up: LinearProjection
  private let down: LinearProjection
  private let activation: Activation

  /// - Parameter prefix: The MLP's place, such as `model.layers.0.mlp`.
  init(
    prefix: String, bias: Bool, activation: Activation = .silu, store: ParameterStore
  ) throws(ModelError) {
    self.activation = activation
    gate = try LinearProjection("\(prefix).gate_proj", bias: bias, store)
    up = try LinearProjection("\(prefix).up_proj", bias: bias, store)
    down = try LinearProjection("\(prefix).down_proj", bias: bias, store)
  }

  var projections: [LinearProjection] { [gate, up, down] }

  var parameters: [Parameter] { projections.flatMap(\.parameters) }

  /// The three projections, as operations take them.
  var maps: (gate: LinearMap, up: LinearMap, down: LinearMap) { (gate.map, up.map, down.map) }

  func callAsFunction(
    _ x_TD: Tensor, norm: RMSNorm, addedTo residual_TD: Tensor?, in context: Context
  ) -> (output: Tensor, routing: Routing?) {
    let output_TD = output(
      x_TD, norm: norm, addedTo: residual_TD, throughNeurons: { $0 }, in: context)
    return (output_TD, nil)
  }

  /// The same with the neurons' activations passed through `body`.
  func output(
    _ x_TD: Tensor, norm: RMSNorm, addedTo residual_TD: Tensor?,
    throughNeurons body: (_ hidden_TI: Tensor) -> Tensor, in context: Context
  ) -> Tensor {
    let hidden_TI: Tensor
    if activation == .silu {
      hidden_TI = context.swiglu(x_TD, norm: norm, gate: gate.map, up: up.map)
    } else {
      let normed_TD = context.rmsNorm(x_TD, norm)
      hidden_TI = context.gated(
        context.linear(normed_TD, up.map), by: context.linear(normed_TD, gate.map), activation)
    }
    return context.linear(body(hidden_TI), down.map, addedTo: residual_TD)
  }
}
