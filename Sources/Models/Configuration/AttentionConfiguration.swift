import Glibc

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
  /// Whether queries and keys pass an RMSNorm per head, each with a gain of `headDimension` numbers.
  public var normalizesHeads = false
  /// Whether queries and keys are turned by position; without, order is seen by the causal mask only.
  public var hasPositions = true
  /// Whether the heads' outputs are multiplied by `sigmoid(g_proj · x)`.
  public var hasOutputGate = false
  /// How queries grow with their position; `nil` for not at all.
  public var logScale: LogLengthScale?

  /// Whether it is attention as LLaMA has it, with none of the additions that hybrids make.
  public var isPlain: Bool {
    !normalizesHeads && hasPositions && !hasOutputGate && logScale == nil
  }

  /// Why it cannot be computed here, and what can; `nil` when it can.
  public var sizeRefusal: String? {
    guard headDimension <= 256 else {
      return "softmax heads of \(headDimension) channels; up to 256 can be computed"
    }
    guard window.map({ (1...1 << 30).contains($0) }) ?? true else {
      return "a sliding window of \(window ?? 0) tokens; give at least 1 and at most \(1 << 30)"
    }
    return nil
  }

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

/// Scores of the query at position `t` times `log_a(t + a)`, which is 1 at the start: attention stays
/// as sharp over long texts as over short ones (HypeNet, arXiv 2601.22156).
public struct LogLengthScale: Sendable, Equatable {
  /// `a`, above 1.
  public var base: Double
  /// Positions there are factors for.
  public var positions: Int

  /// A scale from its parts.
  public init(base: Double, positions: Int) {
    self.base = base
    self.positions = positions
  }

  /// The factor of each position.
  var factors: [Double] { (0..<positions).map { log(Double($0) + base) / log(base) } }
}
