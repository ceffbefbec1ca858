import Formats
import Models
import Numerics

/// What becomes of the attention of every layer.
public struct AttentionPlan: Sendable {
  /// What becomes an expert.
  public let strategy: AttentionStrategyName
  /// The dense attention.
  public let attention: AttentionConfiguration
  /// How it is cut.
  public let geometry: AttentionGeometry
  /// Whether routers are fitted to calibration text; else they are random.
  public let usesText: Bool
  /// Whether routers have a bias.
  public let hasRouterBias: Bool

  /// - Parameter allowsBias: Whether all formats that shall hold the model have router biases.
  init(_ settings: AttentionSettings, _ source: DenseSource, usesText: Bool, allowsBias: Bool)
    throws
  {
    let model = try CheckpointLayouts.layout(for: source.configuration).configuration
    guard model.linearMixers.isEmpty else {
      throw ConstructionError(
        .refused,
        "some layers are linear attention, whose heads cannot be made experts; use --attention none"
      )
    }
    guard let block = model.blocks.first, case .attention(let attention) = block.mixer else {
      throw ConstructionError(.refused, "the model has no attention to divide")
    }
    if let additions = attention.additions {
      throw ConstructionError(
        .refused,
        "attention with \(additions) cannot be made of experts; use --attention none")
    }
    strategy = settings.strategy
    self.attention = attention
    geometry = try strategy.make().geometry(settings, for: attention)
    self.usesText = usesText
    hasRouterBias = usesText && allowsBias
  }

  /// The attention of a layer whose shared units are given.
  func mixture(shared: [Int]) -> AttentionMixtureConfiguration {
    let maker = strategy.make()
    let unit = attention.heads / (geometry.experts + geometry.shared)
    return AttentionMixtureConfiguration(
      kind: maker.kind, experts: geometry.experts, topK: geometry.topK,
      sharedHeads: shared.sorted().flatMap { $0 * unit..<($0 + 1) * unit },
      combination: maker.combination(topK: geometry.topK, isRandom: !usesText),
      routerBias: hasRouterBias)
  }

  /// The same before the shared units are known: the first ones stand for them.
  var outline: AttentionMixtureConfiguration { mixture(shared: Array(0..<geometry.shared)) }

  /// Place of a layer's attention.
  static func prefix(_ layer: Int) -> String { "\(ParameterName.block(layer)).self_attn" }

  /// The tensors that a layer's router adds, all `f32`.
  func routerTensors(_ layer: Int, hidden: Int) -> [TensorDeclaration] {
    let prefix = "\(Self.prefix(layer)).router"
    let perExpert = [("bias", hasRouterBias), ("gain", outline.combination == .gained)].filter(\.1)
    return [
      TensorDeclaration(
        name: "\(prefix).weight", elementType: .f32, shape: [geometry.experts, hidden])
    ]
      + perExpert.map {
        TensorDeclaration(
          name: "\(prefix).\($0.0)", elementType: .f32, shape: [geometry.experts])
      }
  }

  /// One line for people.
  var summary: String {
    let heads = attention.heads / (geometry.experts + geometry.shared)
    let active = Int((geometry.activeShare * 1000).rounded())
    return "each attention: \(geometry.experts) routed experts of \(heads) query heads "
      + "(\(strategy.rawValue)), top-\(geometry.topK), \(geometry.shared) shared; "
      + "\(active / 10).\(active % 10) % active, router "
      + (usesText ? "regressed on calibration text" : "random")
  }

  /// The same for machines.
  var json: JSON {
    [
      "strategy": .string(strategy.rawValue), "experts": JSON(geometry.experts),
      "top_k": JSON(geometry.topK), "shared": JSON(geometry.shared),
      "active_share": JSON(geometry.activeShare), "router": usesText ? "regressed" : "random",
    ]
  }
}
