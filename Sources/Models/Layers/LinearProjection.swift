import Numerics

/// A linear map with an optional bias, bound to its checkpoint names.
public final class LinearProjection {
  /// Weight, `[O, I]`.
  public let weight: Parameter
  /// `[O]`.
  let bias: Parameter?
  /// What is trained in place of the weight; `nil` where there is nothing but the weight.
  public var adapter: LowRankAdapter?

  /// - Parameter name: Without `.weight`, such as `model.layers.0.self_attn.q_proj`.
  init(_ name: String, bias: Bool, _ store: ParameterStore) throws(ModelError) {
    weight = try store.take("\(name).weight")
    self.bias = bias ? try store.take("\(name).bias") : nil
  }

  /// Those of a checkpoint: an adapter's are none of them.
  var parameters: [Parameter] { [weight] + (bias.map { [$0] } ?? []) }

  /// What operations take.
  var map: LinearMap {
    LinearMap(weight_OI: weight.tensor, bias_O: bias?.tensor, addition: adapter?.map)
  }

  /// Adds what the adapter learned to the weight, and takes the adapter away.
  public func mergeAdapter(in context: Context) {
    guard let adapter else { return }
    context.merge(adapter.map, into: weight.value)
    self.adapter = nil
  }
}
