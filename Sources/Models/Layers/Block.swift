import Numerics

/// One block: mixer and MLP, each after an RMSNorm and added to the residual stream, or to its
/// normalised rows (``NormalizedResidual``).
public final class Block {
  /// The token mixer.
  public let mixer: any TokenMixer
  /// The position-wise part.
  public let mlp: any FeedForward
  private let mixerNorm: Parameter
  private let mlpNorm: Parameter
  /// Whether the norms' weights are parameters of the model.
  private let hasNormWeights: Bool
  private let epsilon: Double
  /// What is added to what around the mixer and the MLP; `nil` for the rows as they are.
  private let mixerFactors: NormalizedResidual.Factors?
  private let mlpFactors: NormalizedResidual.Factors?

  /// - Parameters:
  ///   - prefix: The block's place, such as `model.layers.0`.
  ///   - model: What all blocks have in common.
  init(
    _ configuration: BlockConfiguration, of model: ModelConfiguration, prefix: String,
    store: ParameterStore, in context: Context
  ) throws(ModelError) {
    epsilon = model.normEpsilon
    hasNormWeights = model.hasNormWeights
    mixerFactors = model.residual?.factors(of: configuration.mixer)
    mlpFactors = model.residual?.mlp
    mixerNorm = try store.norm("\(prefix).input_layernorm.weight", of: model, in: context)
    mlpNorm = try store.norm("\(prefix).post_attention_layernorm.weight", of: model, in: context)
    switch configuration.mixer {
    case .attention(let attention):
      mixer = try attention.mixer(prefix: "\(prefix).self_attn", store: store, in: context)
    case .linear(let linear):
      mixer = try LinearMixer(
        linear, prefix: "\(prefix).self_attn", epsilon: epsilon, store: store, in: context)
    }
    switch configuration.mlp {
    case .dense(let dense):
      mlp = try DenseMLP(
        prefix: "\(prefix).mlp", bias: dense.bias, activation: dense.activation, store: store)
    case .mixture(let mixture):
      mlp = try MixtureMLP(mixture, prefix: "\(prefix).mlp", store: store)
    }
  }

  /// Every parameter, in a fixed order.
  public var parameters: [Parameter] {
    (hasNormWeights ? [mixerNorm] : []) + mixer.parameters + (hasNormWeights ? [mlpNorm] : [])
      + mlp.parameters
  }

  /// The routers of both halves, in the order in which tokens meet them.
  public var routers: [(part: BlockPart, router: ExpertRouter)] {
    [(BlockPart.attention, mixer.router), (.mlp, mlp.router)].compactMap { part, router in
      router.map { (part, $0) }
    }
  }

  /// The residual stream after the mixer.
  public func mix(
    _ x_TD: Tensor, layout: SequenceLayout, state: (any MixerState)? = nil, in context: Context
  ) -> (output: Tensor, routing: Routing?) {
    connected(.attention, x_TD, in: context) {
      mixer(
        x_TD, norm: norm(mixerNorm), addedTo: $0, layout: layout, state: state, in: context)
    }
  }

  /// What a half carries on of a residual stream, to which it adds its part: all of it, or its
  /// normalised rows times `alpha`.
  public func carried(_ part: BlockPart, _ x_TD: Tensor, in context: Context) -> Tensor {
    factors(of: part).map {
      context.scaled(
        context.rmsNorm(x_TD, norm(part == .attention ? mixerNorm : mlpNorm)), by: $0.alpha)
    } ?? x_TD
  }

  private func factors(of part: BlockPart) -> NormalizedResidual.Factors? {
    part == .attention ? mixerFactors : mlpFactors
  }

  /// The residual stream after a half.
  ///
  /// - Parameter half: Adds the half's part to what it is given, or returns it alone.
  private func connected(
    _ part: BlockPart, _ x_TD: Tensor, in context: Context,
    _ half: (_ residual_TD: Tensor?) -> (output: Tensor, routing: Routing?)
  ) -> (output: Tensor, routing: Routing?) {
    let carried_TD = carried(part, x_TD, in: context)
    guard let beta = factors(of: part)?.beta, beta != 1 else { return half(carried_TD) }
    let (part_TD, routing) = half(nil)
    return (context.add(carried_TD, context.scaled(part_TD, by: beta)), routing)
  }

  /// What the mixer sees of a residual stream, and what the heads of dense attention make of it;
  /// `nil` for other mixers.
  public func attentionHeads(_ x_TD: Tensor, layout: SequenceLayout, in context: Context) -> (
    input_TD: Tensor, heads_TC: Tensor
  )? {
    mixer.headOutputs(x_TD, norm: norm(mixerNorm), layout: layout, in: context).map {
      (context.rmsNorm(x_TD, norm(mixerNorm)), $0)
    }
  }

  /// What the MLP sees of a residual stream that came from ``mix(_:layout:state:in:)``.
  public func mlpInput(_ mixed_TD: Tensor, in context: Context) -> Tensor {
    context.rmsNorm(mixed_TD, norm(mlpNorm))
  }

  /// The residual stream after the MLP, of one that came from ``mix(_:layout:state:in:)``.
  public func feedForward(_ mixed_TD: Tensor, in context: Context) -> (
    output: Tensor, routing: Routing?
  ) {
    connected(.mlp, mixed_TD, in: context) {
      mlp(mixed_TD, norm: norm(mlpNorm), addedTo: $0, in: context)
    }
  }

  /// ``feedForward(_:in:)`` of a dense MLP with its neurons' activations, `[T, I]`, passed through
  /// `body` on their way; `nil` for a mixture.
  public func feedForward(
    _ mixed_TD: Tensor, throughNeurons body: (_ hidden_TI: Tensor) -> Tensor, in context: Context
  ) -> Tensor? {
    guard let dense = mlp as? DenseMLP else { return nil }
    return connected(.mlp, mixed_TD, in: context) {
      let output_TD = dense.output(
        mixed_TD, norm: norm(mlpNorm), addedTo: $0, throughNeurons: body, in: context)
      return (output_TD, nil)
    }.output
  }

  /// The residual stream after the whole block, and how those of its halves routed that are
  /// mixtures.
  public func callAsFunction(
    _ x_TD: Tensor, layout: SequenceLayout, state: (any MixerState)? = nil, in context: Context
  ) -> (output: Tensor, routings: [PartRouting]) {
    let (trace, routings) = traced(x_TD, layout: layout, state: state, in: context)
    return (trace.output_TD, routings)
  }

  /// The same with the residual stream between the halves.
  func traced(
    _ x_TD: Tensor, layout: SequenceLayout, state: (any MixerState)? = nil, in context: Context
  ) -> (trace: BlockTrace, routings: [PartRouting]) {
    let mixed = mix(x_TD, layout: layout, state: state, in: context)
    let result = feedForward(mixed.output, in: context)
    let routings = [(BlockPart.attention, mixed.routing), (.mlp, result.routing)]
    return (
      BlockTrace(entry_TD: x_TD, mixed_TD: mixed.output, output_TD: result.output),
      routings.compactMap { part, routing in routing.map { (part, $0) } }
    )
  }

  private func norm(_ gain: Parameter) -> RMSNorm {
    RMSNorm(weight_D: gain.tensor, epsilon: epsilon)
  }
}
