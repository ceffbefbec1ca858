import Numerics

/// A causal language model: embedding, blocks, final norm and output head.
public final class LanguageModel {
  /// The model as a list of blocks.
  public let configuration: ModelConfiguration
  /// The embedding table, `[V, D]`.
  public let embedding: Parameter
  /// The blocks, first to last.
  public let blocks: [Block]
  /// Lower bounds of the forget gates of all layers, `[layers, channels]`; `nil` where gates have none.
  public let lowerBounds: Parameter?
  /// The embeddings' position encoding; `nil` without one.
  private let positionEncoding: TokenPositionEncoding?
  /// Gain of the final norm, `[D]`.
  public let finalNorm: Parameter
  /// The output head, `[V, D]`; the embedding table itself when tied.
  public let head: Parameter

  /// Puts a model together; every parameter must be used.
  public init(_ configuration: ModelConfiguration, parameters: [Parameter], in context: Context)
    throws(ModelError)
  {
    self.configuration = configuration
    let computeType: DType = parameters.contains { $0.value.dtype == .f64 } ? .f64 : .f32
    let store = ParameterStore(parameters, computeType: computeType)
    embedding = try store.take(ParameterName.embedding)
    finalNorm = try store.norm(ParameterName.finalNorm, of: configuration, in: context)
    lowerBounds =
      configuration.lowerBoundShape == nil ? nil : try store.share(ParameterName.lowerBounds)
    positionEncoding = try configuration.positionEncodingHeads.map { heads throws(ModelError) in
      try TokenPositionEncoding(heads: heads, epsilon: configuration.normEpsilon, store: store)
    }
    head = configuration.tiedEmbeddings ? embedding : try store.take(ParameterName.head)
    var blocks: [Block] = []
    for (index, block) in configuration.blocks.enumerated() {
      blocks.append(
        try Block(
          block, of: configuration, prefix: ParameterName.block(index), store: store, in: context))
    }
    self.blocks = blocks
    try store.checkEmpty()
  }

  /// Every parameter once, in a fixed order.
  public var parameters: [Parameter] {
    [embedding] + (lowerBounds.map { [$0] } ?? []) + (positionEncoding?.parameters ?? [])
      + blocks.flatMap(\.parameters)
      + (configuration.hasNormWeights ? [finalNorm] : [])
      + (configuration.tiedEmbeddings ? [] : [head])
  }

  /// The linear maps of all blocks that can have adapters, first to last: those of attention and of
  /// dense and shared MLPs.
  public var projections: [LinearProjection] {
    blocks.flatMap { $0.mixer.projections + $0.mlp.projections }
  }

  /// The routers of all mixtures, of attention and of MLPs, first to last.
  public var routers: [(layer: Int, part: BlockPart, router: ExpertRouter)] {
    blocks.enumerated().flatMap { layer, block in
      block.routers.map { (layer, $0.part, $0.router) }
    }
  }

  /// The norm before the output head.
  public var outputNorm: RMSNorm {
    RMSNorm(weight_D: finalNorm.tensor, epsilon: configuration.normEpsilon)
  }

  /// What a forward pass gives.
  public struct Output {
    /// The final normalised hidden state, `[T, D]`: what the head multiplies.
    public var hidden_TD: Tensor
    /// The residual stream after each block, if asked for.
    public var boundaries: [Tensor]
    /// The residual stream on its way through each block, if asked for.
    public var traces: [BlockTrace]
    /// How each mixture layer routed, in the order in which tokens met them.
    public var routings: [LayerRouting]
  }

  /// Runs the blocks over packed documents.
  ///
  /// - Parameters:
  ///   - tokens_T: Token ids, `i32`.
  ///   - layout: Documents and positions.
  ///   - checkpointing: Recompute each block in backward instead of keeping its activations.
  ///   - keepBoundaries: Also return the residual stream after every block.
  ///   - keepTraces: Also return the residual stream around both halves of every block; not together
  ///     with `checkpointing`.
  public func callAsFunction(
    _ tokens_T: Tensor, layout: SequenceLayout, checkpointing: Bool = false,
    keepBoundaries: Bool = false, keepTraces: Bool = false, in context: Context
  ) -> Output {
    precondition(!(checkpointing && keepTraces), "what is computed anew cannot be kept")
    var x_TD = embedded(tokens_T, layout: layout, in: context)
    var boundaries: [Tensor] = []
    var traces: [BlockTrace] = []
    var routings: [LayerRouting] = []
    for (layer, block) in blocks.enumerated() {
      let routed: [PartRouting]
      if checkpointing {
        (x_TD, routed) = block.checkpointed(x_TD, layout: layout, in: context)
      } else {
        let (trace, chosen) = block.traced(x_TD, layout: layout, in: context)
        (x_TD, routed) = (trace.output_TD, chosen)
        if keepTraces { traces.append(trace) }
      }
      if keepBoundaries { boundaries.append(x_TD) }
      routings += routed.map { LayerRouting(layer: layer, part: $0.part, routing: $0.routing) }
    }
    let hidden = context.rmsNorm(x_TD, outputNorm)
    return Output(
      hidden_TD: hidden, boundaries: boundaries, traces: traces, routings: routings)
  }

  /// The residual stream before the first block, `[T, D]`.
  ///
  /// - Parameter state: What earlier tokens of the one document being decoded left behind
  ///   (``makeEmbeddingState(in:)``); updated.
  public func embedded(
    _ tokens_T: Tensor, layout: SequenceLayout, state: (any MixerState)? = nil, in context: Context
  ) -> Tensor {
    let x_TD = context.scaled(
      context.embedding(tokens_T, weight: embedding.tensor), by: configuration.embeddingScale)
    guard let positionEncoding else { return x_TD }
    return positionEncoding(x_TD, layout: layout, state: state as? LinearState, in: context)
  }

  /// What the embedding of a document being decoded has to remember; `nil` where that is nothing.
  public func makeEmbeddingState(in context: Context) -> (any MixerState)? {
    positionEncoding?.makeState(in: context)
  }

  /// All logits of a short text, `[T, V]`: for parity checks, not for training.
  public func logits(_ tokens: [Int32], in context: Context) -> Tensor {
    let output = self(
      context.tensor(tokens, [tokens.count]),
      layout: SequenceLayout(count: tokens.count, in: context),
      in: context)
    return context.linear(output.hidden_TD, weight: head.tensor)
  }

  /// Runs `body` with every mixture layer using all its experts at weight one, so that a converted
  /// model computes what the dense model did.
  /// - Parameter part: The half of the blocks that does so; both unless given.
  public func choosingAllExperts<Result>(
    of part: BlockPart? = nil, _ body: () throws -> Result
  ) rethrows -> Result {
    let routers = routers.filter { part == nil || $0.part == part }.map(\.router)
    for router in routers { router.choosesAllExperts = true }
    defer { for router in routers { router.choosesAllExperts = false } }
    return try body()
  }
}

/// How one mixture of a model routed.
public struct LayerRouting {
  /// Index of the block.
  public let layer: Int
  /// Which half of the block it is.
  public let part: BlockPart
  /// Where the tokens went.
  public let routing: Routing

  /// A routing with its place.
  public init(layer: Int, part: BlockPart, routing: Routing) {
    self.layer = layer
    self.part = part
    self.routing = routing
  }
}
