/// In which shares domains are dealt out from some sequence of a run on.
public struct MixtureShares: Equatable, Sendable {
  /// Each domain's share of the sequences, in any unit.
  public let weights: [Double]
  /// Sequences of each domain that came before, counted over the whole run.
  public let drawn: [Int]

  /// Shares from their parts.
  /// - Parameter drawn: As many as `weights`; `nil` for shares that hold from the start.
  public init(weights: [Double], drawn: [Int]? = nil) {
    self.weights = weights
    self.drawn = drawn ?? weights.map { _ in 0 }
  }

  /// The first sequence that these shares deal out.
  public var firstSample: Int { drawn.reduce(0, +) }
}
