/// The name and shape of a parameter.
public struct ParameterShape: Sendable, Equatable {
  /// Path inside the model.
  public let name: String
  /// Extents.
  public let shape: [Int]

  /// A name and a shape.
  public init(name: String, shape: [Int]) {
    self.name = name
    self.shape = shape
  }

  /// Whether the parameter is in full precision also where matrices are 16-bit: norm gains, biases,
  /// routers and gates are small and steer everything.
  public var staysFull: Bool {
    shape.count == 1 || name.contains(".router.") || name.hasSuffix("_gate.weight")
      || ParameterName.isSensitive(name)
  }
}

extension ModelConfiguration {
  /// Every parameter of the model, in a fixed order.
  public var parameterShapes: [ParameterShape] {
    bindings { layer, mlp in
      switch mlp {
      case .dense(let dense): denseBindings(layer: layer, dense)
      case .mixture(let mixture): mixtureParameters(layer: layer, mixture)
      }
    }
    .map { ParameterShape(name: $0.tensor, shape: $0.shape) }
  }

  /// The parameters of a mixture; experts are stacked.
  private func mixtureParameters(layer: Int, _ mixture: MixtureConfiguration) -> [TensorBinding] {
    let prefix = ParameterName.mlp(layer)
    return routerBindings(layer: layer, mixture)
      + ExpertMatrix.allCases.map { matrix in
        TensorBinding(
          "\(prefix).experts.\(matrix.rawValue)",
          [mixture.experts] + matrix.shape(width: mixture.expertWidth, hidden: hiddenSize))
      } + sharedBindings(layer: layer, mixture)
      + (mixture.sharedGate
        ? [TensorBinding("\(prefix).shared_expert_gate.weight", [1, hiddenSize])] : [])
      + outputBiasBindings(layer: layer, mixture)
  }

  /// Weights of the heads that a token does not use.
  private func idleAttention(of block: BlockConfiguration) -> Int {
    guard case .attention(let attention) = block.mixer, let mixture = attention.mixture else {
      return 0
    }
    let routed = attention.heads - mixture.sharedHeads.count
    let queries = routed / mixture.experts
    let keys = mixture.kind == .keyGroup ? attention.keyHeads / mixture.experts : 0
    return (mixture.experts - mixture.topK) * (queries + keys) * attention.headDimension
      * hiddenSize * 2
  }

  /// Parameters in all, and those one token uses.
  public var parameterCounts: (total: Int, active: Int) {
    let total = parameterShapes.reduce(0) { $0 + $1.shape.reduce(1, *) }
    let idle = blocks.reduce(0) { sum, block in
      guard case .mixture(let mixture) = block.mlp else { return sum }
      return sum + (mixture.experts - mixture.topK) * mixture.expertWidth * hiddenSize * 3
    }
    return (total, total - idle - blocks.reduce(0) { $0 + idleAttention(of: $1) })
  }
}
