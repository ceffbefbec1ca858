import Numerics

/// The architectures that can be trained from scratch: a token mixer and an MLP per layer, as settings
/// of the layers there are.
public enum ModelFamily: String, CaseIterable, Sendable {
  /// Softmax attention with rotary positions and a SwiGLU MLP.
  case llama
  /// TNL, the later form of TransNormerLLM.
  case tnl
  /// TransNormerLLM as released.
  case transnormer
  /// HGRN2.
  case hgrn2
  /// MiniMax-01 as transformers has it, silu MLPs and residual connections of normalised rows.
  case minimax
  /// cosFormer2; with it goes a position encoding of the embeddings
  /// (``ModelConfiguration/positionEncodingHeads``).
  case cosformer2
  /// Linear attention with settings of its own.
  case eos

  /// The linear mixer of a layer; `nil` for ``llama`` and ``eos``.
  public func mixer(heads: Int, dimension: Int, layer: Int, layers: Int)
    -> LinearMixerConfiguration?
  {
    switch self {
    case .llama, .eos: nil
    case .tnl: .tnl(heads: heads, dimension: dimension, layer: layer, layers: layers)
    case .transnormer:
      .transnormer(heads: heads, dimension: dimension, layer: layer, layers: layers)
    case .hgrn2: .hgrn2(heads: heads, dimension: dimension, layer: layer, layers: layers)
    case .minimax: .minimax(heads: heads, dimension: dimension, layer: layer, layers: layers)
    case .cosformer2: .cosformer2(heads: heads, dimension: dimension)
    }
  }

  /// What the gate of the MLP goes through: most linear families' gated units have no activation.
  public var mlpActivation: Activation {
    switch self {
    case .llama, .minimax, .eos: .silu
    case .tnl, .transnormer, .hgrn2, .cosformer2: .none
    }
  }

  /// Whether norms outside the mixers have weights.
  public var hasNormWeights: Bool { self != .transnormer }

  /// ε of the norms: TransNormerLLM's own, which its format has no field for.
  public var normEpsilon: Double { self == .transnormer ? TransNormerLayout.normEpsilon : 1e-5 }

  /// The residual connections of a model of `layers` blocks; `nil` for those of rows as they are.
  public func residual(layers: Int) -> NormalizedResidual? {
    self == .minimax ? .deepNorm(layers: layers) : nil
  }

  /// What embeddings are multiplied with at a width of `hidden`.
  public func embeddingScale(hidden: Int) -> Double {
    self == .transnormer ? Double(hidden).squareRoot() : 1
  }
}
