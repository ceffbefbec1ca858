/// A causal language model as a list of blocks; no two blocks are assumed equal.
///
/// Checkpoint formats (``CheckpointLayout``) are serialisations of this list.
public struct ModelConfiguration: Sendable, Equatable {
  /// Rows of the embedding table.
  public var vocabularySize: Int
  /// Width of the residual stream.
  public var hiddenSize: Int
  /// ε of every RMSNorm.
  public var normEpsilon: Double
  /// Whether the output head is the embedding table.
  public var tiedEmbeddings: Bool
  /// What embeddings are multiplied with.
  public var embeddingScale = 1.0
  /// Heads of the embeddings' position encoding, TPE; `nil` without one.
  public var positionEncodingHeads: Int?
  /// Whether the norms around the blocks' halves and before the head have weights.
  public var hasNormWeights = true
  /// Residual connections of normalised rows; `nil` for those of rows as they are.
  public var residual: NormalizedResidual?
  /// Longest sequence the checkpoint claims to handle.
  public var maximumPositions: Int
  /// The blocks, first to last.
  public var blocks: [BlockConfiguration]

  /// A configuration from its parts.
  public init(
    vocabularySize: Int, hiddenSize: Int, normEpsilon: Double, tiedEmbeddings: Bool,
    maximumPositions: Int, blocks: [BlockConfiguration]
  ) {
    self.vocabularySize = vocabularySize
    self.hiddenSize = hiddenSize
    self.normEpsilon = normEpsilon
    self.tiedEmbeddings = tiedEmbeddings
    self.maximumPositions = maximumPositions
    self.blocks = blocks
  }
}

extension ModelConfiguration {
  /// The linear mixer of each layer, `nil` where attention is a softmax; empty when all of it is.
  public var linearMixers: [LinearMixerConfiguration?] {
    let mixers = blocks.map { block -> LinearMixerConfiguration? in
      if case .linear(let linear) = block.mixer { linear } else { nil }
    }
    return mixers.contains { $0 != nil } ? mixers : []
  }
}

/// One block: a token mixer and an MLP, each behind its own RMSNorm and residual connection.
public struct BlockConfiguration: Sendable, Equatable {
  /// How tokens exchange information.
  public var mixer: MixerConfiguration
  /// The position-wise part.
  public var mlp: MLPConfiguration

  /// A block from its two halves.
  public init(mixer: MixerConfiguration, mlp: MLPConfiguration) {
    self.mixer = mixer
    self.mlp = mlp
  }

  /// Whether either half consists of experts.
  public var isMixture: Bool {
    if case .mixture = mlp { return true }
    if case .attention(let attention) = mixer { return attention.mixture != nil }
    return false
  }
}

/// The token mixer of a block.
public enum MixerConfiguration: Sendable, Equatable {
  /// Softmax attention.
  case attention(AttentionConfiguration)
  /// Linear attention.
  case linear(LinearMixerConfiguration)
}

/// The MLP of a block.
public enum MLPConfiguration: Sendable, Equatable {
  /// One SwiGLU of the given width.
  case dense(DenseConfiguration)
  /// Routed experts, with optional shared ones.
  case mixture(MixtureConfiguration)
}
