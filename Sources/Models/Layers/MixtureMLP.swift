import Numerics

/// Routed SwiGLU experts with optional shared neurons.
public final class MixtureMLP: FeedForward {
  /// Sizes and rules.
  public let configuration: MixtureConfiguration
  /// Router scores: `weight` `[E, D]`, optional `bias` `[E]`.
  public let router: Parameter
  /// The bias used only to select experts, `[E]`; moved by balancing, not by gradients.
  public let selectionBias: Parameter?
  private let routerBias: Parameter?
  private let gain: Parameter?
  private let gate_EID: Parameter
  private let up_EID: Parameter
  private let down_EDI: Parameter
  private let shared: DenseMLP?
  private let sharedGate: Parameter?
  /// While set, every token uses every expert with weight `1 / foldedScale`: the layer then equals
  /// the dense MLP it came from.
  var choosesAllExperts = false

  /// - Parameter prefix: The MLP's place, such as `model.layers.0.mlp`.
  init(_ configuration: MixtureConfiguration, prefix: String, store: ParameterStore)
    throws(ModelError)
  {
    self.configuration = configuration
    router = try store.take("\(prefix).router.weight")
    routerBias = configuration.routerBias ? try store.take("\(prefix).router.bias") : nil
    selectionBias =
      configuration.selectionBias ? try store.take("\(prefix).router.selection_bias") : nil
    gain = configuration.combination == .gained ? try store.take("\(prefix).router.gain") : nil
    gate_EID = try store.take("\(prefix).experts.gate_proj")
    up_EID = try store.take("\(prefix).experts.up_proj")
    down_EDI = try store.take("\(prefix).experts.down_proj")
    shared =
      configuration.sharedWidth > 0
      ? try DenseMLP(prefix: "\(prefix).shared_expert", bias: false, store: store) : nil
    sharedGate =
      configuration.sharedGate ? try store.take("\(prefix).shared_expert_gate.weight") : nil
  }

  public var parameters: [Parameter] {
    [router, routerBias, selectionBias, gain, gate_EID, up_EID, down_EDI, sharedGate]
      .compactMap { $0 } + (shared?.parameters ?? [])
  }

  public func callAsFunction(_ x_TD: Tensor, norm: RMSNorm, in context: Context) -> (
    output: Tensor, routing: Routing?
  ) {
    let combination: Combination =
      choosesAllExperts
      ? .uniform(weight: 1 / configuration.foldedScale) : configuration.combination
    return context.mixtureLayer(
      x_TD,
      MixtureLayer(
        norm: norm, router: LinearMap(weight_OI: router.tensor, bias_O: routerBias?.tensor),
        selectionBias: selectionBias?.tensor,
        topK: choosesAllExperts ? configuration.experts : configuration.topK,
        combination: combination, gain: combination == .gained ? gain?.tensor : nil,
        gate_EID: gate_EID.tensor, up_EID: up_EID.tensor, down_EDI: down_EDI.tensor,
        shared: shared?.maps, sharedGate: sharedGate?.tensor))
  }
}
