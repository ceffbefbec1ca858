/// Causal grouped-query softmax attention with rotary positions.
public struct AttentionConfiguration: Sendable, Equatable {
  /// Query heads.
  public var heads: Int
  /// Key and value heads; divides `heads`.
  public var keyHeads: Int
  /// Width of one head.
  public var headDimension: Int
  /// Whether the query, key and value projections have biases (Qwen2).
  public var inputBias: Bool
  /// Whether the output projection has a bias.
  public var outputBias: Bool
  /// How positions turn into rotation angles.
  public var rope: RoPEConfiguration
  /// Scale of the scores; `1/√headDimension` unless a checkpoint says otherwise.
  public var scale: Double
  /// How many tokens back a query sees; `nil` for all.
  public var window: Int?
  /// What makes it a mixture of experts; `nil` for dense attention.
  public var mixture: AttentionMixtureConfiguration?

  /// Attention from its parts; `scale` defaults to `1/√headDimension`.
  public init(
    heads: Int, keyHeads: Int, headDimension: Int, inputBias: Bool = false,
    outputBias: Bool = false, rope: RoPEConfiguration, scale: Double? = nil, window: Int? = nil,
    mixture: AttentionMixtureConfiguration? = nil
  ) {
    self.heads = heads
    self.keyHeads = keyHeads
    self.headDimension = headDimension
    self.inputBias = inputBias
    self.outputBias = outputBias
    self.rope = rope
    self.scale = scale ?? 1 / Double(headDimension).squareRoot()
    self.window = window
    self.mixture = mixture
  }
}
