import Formats
import Models
import Numerics

extension MixtureModel {
  /// A herd model from its configuration and its opened folder.
  init(herd configuration: ConfigurationFile, _ loader: ModelLoader) throws {
    let (layout, checkpoint) = (loader.layout, loader.checkpoint)
    let herd = try configuration.section("herd")
    self.configuration = configuration
    modelType = try herd.string("base_model_type", default: "llama")
    hidden = layout.configuration.hiddenSize
    heads = try configuration.positive("num_attention_heads")
    headDimension = try configuration.optionalInteger("head_dim") ?? hidden / heads
    biasedProjections = DenseSource.biasedProjections(in: checkpoint)
    construction = try herd.optionalSection("construction")?.object ?? [:]
    blocks = try layout.configuration.blocks.map { block in
      guard case .mixture(let mixture) = block.mlp else { return nil }
      return try MixtureBlock(mixture)
    }
    attention = layout.configuration.blocks.map { block in
      guard case .attention(let attention) = block.mixer else { return nil }
      return attention.mixture
    }
    mixers = layout.configuration.blocks.map(\.mixer)
    structure = layout.configuration
    var types: Set<ElementType> = []
    for (layer, block) in blocks.enumerated() {
      guard block != nil else { continue }
      types.insert(
        try checkpoint.tensor(HerdOutput.name(of: .expert(0, .gate), layer: layer)).elementType)
    }
    denseWidths = try layout.configuration.blocks.map { block in
      if case .dense(let dense) = block.mlp { return dense.width }
      return try configuration.positive("intermediate_size")
    }
    if types.isEmpty, !blocks.isEmpty, blocks.allSatisfy({ $0 == nil }) {
      types.insert(try checkpoint.tensor(DenseSource.name(0, .gate)).elementType)
    }
    guard let type = types.first, types.count == 1 else {
      throw ConstructionError(
        .refused,
        "\(checkpoint.folder) has experts of \(types.count) element types; there must be "
          + "one mixture type to export")
    }
    elementType = type
    gainsAreZero = try loader.gainsAreZero()
  }
}

extension MixtureBlock {
  /// A block as Models describes it.
  init(_ mixture: MixtureConfiguration) throws {
    let (rule, scale): (CombinationRule, Double)
    switch mixture.combination {
    case .gained: (rule, scale) = (.gained, 1)
    case .renormalizedSoftmax(let factor): (rule, scale) = (.renormalizedSoftmax, factor)
    case .softmax(let factor): (rule, scale) = (.softmax, factor)
    case .sigmoid(let factor): (rule, scale) = (.sigmoid, factor)
    case .renormalizedSigmoid(let factor): (rule, scale) = (.renormalizedSigmoid, factor)
    case .uniform:
      throw ConstructionError(.refused, "uniform weights exist for checks only")
    }
    let geometry = try SplitGeometry(
      width: mixture.experts * mixture.expertWidth + mixture.sharedWidth,
      experts: mixture.experts, topK: mixture.topK,
      shared: mixture.sharedWidth / max(1, mixture.expertWidth))
    self.init(
      geometry: geometry, rule: rule, scale: scale, hasRouterBias: mixture.routerBias,
      hasSelectionBias: mixture.selectionBias, routerKind: mixture.routerKind,
      routerRank: mixture.routerRank, scoreThreshold: mixture.scoreThreshold,
      hasOutputBias: mixture.outputBias)
  }
}
