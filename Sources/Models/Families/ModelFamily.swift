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
    case .cosformer2: .cosformer2(heads: heads, dimension: dimension)
    }
  }

  /// What the gate of the MLP goes through: the linear families' gated units have no activation.
  public var mlpActivation: Activation {
    switch self {
    case .llama, .eos: .silu
    case .tnl, .transnormer, .hgrn2, .cosformer2: .none
    }
  }

  /// Whether norms outside the mixers have weights.
  public var hasNormWeights: Bool { self != .transnormer }

  /// What embeddings are multiplied with at a width of `hidden`.
  public func embeddingScale(hidden: Int) -> Double {
    self == .transnormer ? Double(hidden).squareRoot() : 1
  }
}
