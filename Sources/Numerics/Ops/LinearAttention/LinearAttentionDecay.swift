/// How much of linear attention's state is left from one token to the next.
public enum LinearAttentionDecay: Sendable {
  /// All of it: the state is a sum over the document.
  case none
  /// `exp(-slope)`, one slope per head, `[heads]`, of the state's type, none negative: lightning
  /// attention (Qin et al. 2024, "Various Lengths, Constant Speed"). See ``DecaySlopes`` for the
  /// published values.
  case constant(slopes_H: Tensor)
  /// `exp(logDecay)` per token and key channel, `[T, heads · d]`, of the state's type, none positive:
  /// HGRN2 (Qin et al. 2024) and gated linear attention (Yang et al. 2024).
  case vector(logDecay_TC: Tensor)

  /// `exp(logDecay + valueLogDecay)` per token, key channel and value channel: the outer product of a
  /// decay `[T, heads · d]` and one `[T, heads · e]`, both of the state's type, none positive
  /// (arXiv 2405.17383).
  case outer(logDecay_TC: Tensor, valueLogDecay_TE: Tensor)

  /// `exp(-step · exp(logRate))` per token, key channel and value channel: a step `[T, heads · e]`, none
  /// negative, and the logarithms of rates `[heads, d, e]`, both of the state's type. Mamba's, with a
  /// step computed from the token (Gu and Dao 2023, arXiv 2312.00752, section 3.2); with one step for all
  /// tokens that of state space models with real poles, S4 and S5. What is below `exp(-10⁴)` is 0, and has
  /// no gradient.
  case elementwise(step_TE: Tensor, logRate_KE: Tensor)

  /// The tensor of the decay; the one of key channels, or of rates, where there are two.
  package var tensor: Tensor? {
    switch self {
    case .none: nil
    case .constant(let slopes_H): slopes_H
    case .vector(let logDecay_TC), .outer(let logDecay_TC, _): logDecay_TC
    case .elementwise(_, let logRate_KE): logRate_KE
    }
  }

  /// The decay or step of value channels, `[T, heads · e]`.
  package var valueTensor: Tensor? {
    switch self {
    case .none, .constant, .vector: nil
    case .outer(_, let valueLogDecay_TE): valueLogDecay_TE
    case .elementwise(let step_TE, _): step_TE
    }
  }

  /// Whether ``tensor`` holds rates.
  package var hasRates: Bool { if case .elementwise = self { true } else { false } }

  /// The same values, cut off from the tape.
  package func detached() -> LinearAttentionDecay {
    switch self {
    case .none: .none
    case .constant(let slopes_H): .constant(slopes_H: slopes_H.detached())
    case .vector(let logDecay_TC): .vector(logDecay_TC: logDecay_TC.detached())
    case .outer(let logDecay_TC, let valueLogDecay_TE):
      .outer(
        logDecay_TC: logDecay_TC.detached(), valueLogDecay_TE: valueLogDecay_TE.detached())
    case .elementwise(let step_TE, let logRate_KE):
      .elementwise(step_TE: step_TE.detached(), logRate_KE: logRate_KE.detached())
    }
  }
}
