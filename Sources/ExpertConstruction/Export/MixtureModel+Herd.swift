import Formats
import Models
import Numerics

extension MixtureModel {
  /// A herd model from its configuration.
  init(herd configuration: ConfigurationFile, _ checkpoint: Checkpoint) throws {
    let layout = try HerdLayout(configuration)
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
      guard !mixture.selectionBias else {
        throw ConstructionError(
          .refused,
          "experts are selected with a balancing bias, which no stock format here has; "
            + "keep the herd format")
      }
      return try MixtureBlock(mixture)
    }
    attention = layout.configuration.blocks.map { block in
      guard case .attention(let attention) = block.mixer else { return nil }
      return attention.mixture
    }
    var types: Set<ElementType> = []
    var zero = true
    for (layer, block) in blocks.enumerated() {
      guard let block else { continue }
      types.insert(
        try checkpoint.tensor(HerdOutput.name(of: .expert(0, .gate), layer: layer)).elementType)
      if block.rule == .gained {
        let name = HerdOutput.name(of: .routerGain, layer: layer)
        try checkpoint.withBytes(of: name) { bytes in
          // A negative zero is a zero: only the sign bit may be set.
          for index in bytes.indices where bytes[index] & (index % 4 == 3 ? 0x7f : 0xff) != 0 {
            zero = false
          }
        }
      }
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
    gainsAreZero = zero
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
      routerKind: mixture.routerKind, scoreThreshold: mixture.scoreThreshold)
  }
}
