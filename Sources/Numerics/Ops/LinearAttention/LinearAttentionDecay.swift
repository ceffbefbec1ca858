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

  /// The tensor of the decay; the one of key channels where there are two.
  package var tensor: Tensor? {
    switch self {
    case .none: nil
    case .constant(let slopes_H): slopes_H
    case .vector(let logDecay_TC), .outer(let logDecay_TC, _): logDecay_TC
    }
  }

  /// The decay of value channels, `[T, heads · e]`.
  package var valueTensor: Tensor? {
    if case .outer(_, let valueLogDecay_TE) = self { valueLogDecay_TE } else { nil }
  }

  /// The same values, cut off from the tape.
  package func detached() -> LinearAttentionDecay {
    switch self {
    case .none: .none
    case .constant(let slopes_H): .constant(slopes_H: slopes_H.detached())
    case .vector(let logDecay_TC): .vector(logDecay_TC: logDecay_TC.detached())
    case .outer(let logDecay_TC, let valueLogDecay_TE):
      .outer(
        logDecay_TC: logDecay_TC.detached(), valueLogDecay_TE: valueLogDecay_TE.detached())
    }
  }
}
