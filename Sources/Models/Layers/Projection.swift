import Numerics

/// A linear map with an optional bias, bound to its checkpoint names.
struct Projection {
  let weight: Parameter
  let bias: Parameter?

  /// - Parameter name: Without `.weight`, such as `model.layers.0.self_attn.q_proj`.
  init(_ name: String, bias: Bool, _ store: ParameterStore) throws(ModelError) {
    weight = try store.take("\(name).weight")
    self.bias = bias ? try store.take("\(name).bias") : nil
  }

  var parameters: [Parameter] { [weight] + (bias.map { [$0] } ?? []) }

  /// What operations take.
  var map: LinearMap { LinearMap(weight_OI: weight.tensor, bias_O: bias?.tensor) }
}
