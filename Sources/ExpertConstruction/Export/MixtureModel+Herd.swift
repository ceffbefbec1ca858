import Formats
import Models
import Numerics

extension MixtureModel {
  /// A herd model that is still to be written.
  init(planned configuration: ConfigurationFile, gainsAreZero: Bool) throws {
    let structure = try HerdLayout(configuration).configuration
    let biases = structure.blocks.reduce(into: Set<String>()) { biases, block in
      guard case .attention(let attention) = block.mixer else { return }
      if attention.inputBias { biases.formUnion(["q", "k", "v"]) }
      if attention.outputBias { biases.insert("o") }
    }
    try self.init(configuration, structure, biases, .f32, gainsAreZero: gainsAreZero)
  }

  private init(
    _ configuration: ConfigurationFile, _ structure: ModelConfiguration, _ biases: Set<String>,
    _ elementType: ElementType, gainsAreZero: Bool
  ) throws {
    let herd = try configuration.section("herd")
    let hidden = structure.hiddenSize
    let heads = try configuration.positive("num_attention_heads")
    try self.init(
      configuration: configuration, modelType: herd.string("base_model_type", default: "llama"),
      hidden: hidden, heads: heads,
      headDimension: configuration.optionalInteger("head_dim") ?? hidden / heads,
      biasedProjections: biases,
      blocks: structure.blocks.map { block in
        guard case .mixture(let mixture) = block.mlp else { return nil }
        return try MixtureBlock(mixture)
      },
      denseWidths: structure.blocks.map { block in
        if case .dense(let dense) = block.mlp { return dense.width }
        return try configuration.positive("intermediate_size")
      },
      attention: structure.blocks.map { block in
        guard case .attention(let attention) = block.mixer else { return nil }
        return attention.mixture
      },
      mixers: structure.blocks.map(\.mixer), structure: structure, elementType: elementType,
      gainsAreZero: gainsAreZero,
      construction: herd.optionalSection("construction")?.object ?? [:])
  }

  /// A herd model from its configuration and its opened folder.
  init(herd configuration: ConfigurationFile, _ loader: ModelLoader) throws {
    let (structure, checkpoint) = (loader.layout.configuration, loader.checkpoint)
    let type = try Self.elementType(structure, checkpoint)
    try self.init(
      configuration, structure, DenseSource.biasedProjections(in: checkpoint), type,
      gainsAreZero: loader.gainsAreZero())
  }

  /// The element type of all MLPs.
  private static func elementType(
    _ structure: ModelConfiguration, _ checkpoint: Checkpoint
  ) throws -> ElementType {
    var types: Set<ElementType> = []
    for (layer, block) in structure.blocks.enumerated() {
      guard case .mixture = block.mlp else { continue }
      types.insert(
        try checkpoint.tensor(HerdOutput.name(of: .expert(0, .gate), layer: layer)).elementType)
    }
    if types.isEmpty, !structure.blocks.isEmpty {
      types.insert(try checkpoint.tensor(DenseSource.name(0, .gate)).elementType)
    }
    guard let type = types.first, types.count == 1 else {
      throw ConstructionError(
        .refused,
        "\(checkpoint.folder) has experts of \(types.count) element types; there must be "
          + "one mixture type to export")
    }
    return type
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
