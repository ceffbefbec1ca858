/// Residual connections that start behind the norm: a half of a block makes `alpha · n + beta · f(n)` of
/// its normalised rows `n = norm(x)`, where others make `x + f(norm(x))`. MiniMax-01 has them
/// (arXiv 2501.08313), with the factors of DeepNorm (Wang et al. 2022, arXiv 2203.00555).
public struct NormalizedResidual: Sendable, Equatable {
  /// What the two terms are multiplied by.
  public struct Factors: Sendable, Equatable {
    /// Of the normalised rows.
    public var alpha: Double
    /// Of what the half makes of them.
    public var beta: Double

    /// Factors, 1 unless given.
    public init(alpha: Double = 1, beta: Double = 1) {
      self.alpha = alpha
      self.beta = beta
    }
  }

  /// Around softmax attention.
  public var attention = Factors()
  /// Around linear attention.
  public var linear = Factors()
  /// Around MLPs.
  public var mlp = Factors()

  /// Factors of 1.
  public init() {}

  /// The factor `alpha = (2L)^(1/4)` that MiniMax-01 has everywhere, with `beta` 1.
  ///
  /// - Parameter layers: Blocks of the model.
  public static func deepNorm(layers: Int) -> NormalizedResidual {
    let factors = Factors(alpha: Double(2 * layers).squareRoot().squareRoot())
    var residual = NormalizedResidual()
    (residual.attention, residual.linear, residual.mlp) = (factors, factors, factors)
    return residual
  }

  /// The factors in a line, for people.
  public var summary: String {
    [("softmax", attention), ("linear", linear), ("MLP", mlp)]
      .map { "\($0): α \($1.alpha), β \($1.beta)" }.joined(separator: "; ")
  }

  /// The factors around a mixer.
  func factors(of mixer: MixerConfiguration) -> Factors {
    switch mixer {
    case .attention: attention
    case .linear: linear
    }
  }
}
