import Numerics

/// Routed SwiGLU experts with optional shared neurons.
public final class MixtureMLP: FeedForward {
  /// Sizes and rules.
  public let configuration: MixtureConfiguration
  public let router: ExpertRouter?
  private let routing: ExpertRouter
  private let gate_EID: Parameter
  private let up_EID: Parameter
  private let down_EDI: Parameter
  private let shared: DenseMLP?
  private let sharedGate: Parameter?
  private let outputBias: Parameter?

  /// - Parameter prefix: The MLP's place, such as `model.layers.0.mlp`.
  init(_ configuration: MixtureConfiguration, prefix: String, store: ParameterStore)
    throws(ModelError)
  {
    self.configuration = configuration
    routing = try ExpertRouter(
      "\(prefix).router", experts: configuration.experts, topK: configuration.topK,
      combination: configuration.combination, hasBias: configuration.routerBias,
      hasSelectionBias: configuration.selectionBias, kind: configuration.routerKind,
      threshold: configuration.scoreThreshold, hasNoiseWeight: configuration.noiseWeight,
      foldedScale: configuration.foldedScale,
      store: store)
    router = routing
    gate_EID = try store.take("\(prefix).experts.gate_proj")
    up_EID = try store.take("\(prefix).experts.up_proj")
    down_EDI = try store.take("\(prefix).experts.down_proj")
    shared =
      configuration.sharedWidth > 0
      ? try DenseMLP(prefix: "\(prefix).shared_expert", bias: false, store: store) : nil
    sharedGate =
      configuration.sharedGate ? try store.take("\(prefix).shared_expert_gate.weight") : nil
    outputBias = configuration.outputBias ? try store.take("\(prefix).bias") : nil
  }

  public var parameters: [Parameter] {
    routing.parameters + [gate_EID, up_EID, down_EDI, sharedGate, outputBias].compactMap { $0 }
      + (shared?.parameters ?? [])
  }

  public var projections: [LinearProjection] { shared?.projections ?? [] }

  public func callAsFunction(
    _ x_TD: Tensor, norm: RMSNorm, addedTo residual_TD: Tensor?, in context: Context
  ) -> (output: Tensor, routing: Routing?) {
    let (output, chosen) = context.mixtureLayer(
      x_TD,
      MixtureLayer(
        norm: norm, router: routing.map, routerHidden: routing.hiddenMap, routerUp: routing.upMap,
        noise: routing.noise(rows: x_TD.rows, x_TD.dtype.statistic, in: context),
        jitter: routing.usedJitter, scoreThreshold: routing.threshold,
        selectionBias: routing.selectionBias?.tensor,
        topK: routing.topK, combination: routing.combination, gain: routing.usedGain,
        gate_EID: gate_EID.tensor, up_EID: up_EID.tensor, down_EDI: down_EDI.tensor,
        shared: shared?.maps, sharedGate: sharedGate?.tensor), addedTo: residual_TD)
    // The bias makes up for experts that are not chosen.
    guard let outputBias, !routing.choosesAllExperts else { return (output, chosen) }
    return (context.add(output, bias: outputBias.tensor), chosen)
  }
}
