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

  /// The tensor of the decay.
  package var tensor: Tensor? {
    switch self {
    case .none: nil
    case .constant(let slopes_H): slopes_H
    case .vector(let logDecay_TC): logDecay_TC
    }
  }

  /// The same values, cut off from the tape.
  package func detached() -> LinearAttentionDecay {
    switch self {
    case .none: .none
    case .constant(let slopes_H): .constant(slopes_H: slopes_H.detached())
    case .vector(let logDecay_TC): .vector(logDecay_TC: logDecay_TC.detached())
    }
  }
}
