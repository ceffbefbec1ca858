import Models

/// The architectures whose scaling Shen et al. 2024 ("Scaling Laws for Linear Complexity Language
/// Models", arXiv 2406.16690) fitted, with their counts and their results.
public enum ScalingArchitecture: String, CaseIterable, Sendable {
  case llama, tnl, hgrn2, cosformer2

  /// What is trained.
  var family: ModelFamily {
    switch self {
    case .llama: .llama
    case .tnl: .tnl
    case .hgrn2: .hgrn2
    case .cosformer2: .cosformer2
    }
  }

  /// Extents of a model.
  struct Extents: Equatable {
    var layers: Int
    var hiddenSize: Int
    var heads: Int
    var width: Int
  }

  /// Parameters without embeddings as the paper counts them: the matrices of a LLaMA, l(4d² + 3dw), with
  /// what the architecture adds to them; no norms. With w = 8d/3 that is its 12ld².
  func parameters(_ extents: Extents) -> Int {
    let (l, d, h) = (extents.layers, extents.hiddenSize, extents.heads)
    let matrices = l * (4 * d * d + 3 * d * extents.width)
    return switch self {
    case .llama: matrices
    case .tnl: matrices + 2 * l * d * d / h
    case .hgrn2: matrices + l * d
    case .cosformer2: matrices + 2 * l * d * d / h + d * d / h
    }
  }

  /// Floating-point operations of training on `tokens` tokens in sequences of `length`, by the paper's
  /// formula, which takes MLPs to be 8d/3 wide.
  func operations(_ extents: Extents, tokens: Double, length: Int) -> Double {
    let (d, h) = (Double(extents.hiddenSize), Double(extents.heads))
    let more =
      switch self {
      case .llama: Double(length) / (6 * d) + 5 / (18 * d)
      case .tnl: 1 / (2 * h) + 5 / (18 * d)
      case .hgrn2: 1 / (3 * h) + 29 / (72 * d)
      case .cosformer2: 3 / (4 * h) + 23 / (72 * d)
      }
    return 72 * tokens * Double(extents.layers) * d * d * (1 + more)
  }

  /// The formula of ``operations(_:tokens:length:)`` in words: D tokens, n in a sequence, l layers, d wide,
  /// h heads.
  var formula: String {
    switch self {
    case .llama: "72 D l d² (1 + n/(6d) + 5/(18d))"
    case .tnl: "72 D l d² (1 + 1/(2h) + 5/(18d))"
    case .hgrn2: "72 D l d² (1 + 1/(3h) + 29/(72d))"
    case .cosformer2: "72 D l d² (1 + 3/(4h) + 23/(72d))"
    }
  }

  /// Operations of a PFLOP/s-day, the unit of compute of the paper's laws.
  static let operationsOfDay = 8.64e19

  /// The paper's laws: loss in nats, N_opt in parameters without embeddings, D_opt in tokens.
  var published: (loss: PowerLaw, parameters: PowerLaw, tokens: PowerLaw) {
    switch self {
    case .llama:
      (PowerLaw(3.7087, -0.0798), PowerLaw(1.82e8, 0.7118), PowerLaw(2.56e10, 0.5102))
    case .tnl:
      (PowerLaw(3.5391, -0.0768), PowerLaw(2.74e8, 0.6470), PowerLaw(4.43e10, 0.4684))
    case .hgrn2:
      (PowerLaw(3.4788, -0.0753), PowerLaw(2.66e8, 0.6427), PowerLaw(4.80e10, 0.4500))
    case .cosformer2:
      (PowerLaw(3.5877, -0.0756), PowerLaw(2.65e8, 0.6516), PowerLaw(4.23e10, 0.4529))
    }
  }
}
