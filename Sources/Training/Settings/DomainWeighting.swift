/// How a stage changes the shares of its domains on the way: dynamic batch loading (Xia et al. 2023,
/// "Sheared LLaMA", arXiv 2310.06694, algorithm 1).
public struct DomainWeighting: Sendable, Equatable {
  /// What held-out losses are compared with.
  public enum Reference: Sendable, Equatable {
    /// The dense model's losses on the same text.
    case teacher
    /// A loss in nats for each entry of the stage's data.
    case losses([Double])
  }

  /// Steps between two updates.
  public var every: Int
  /// What held-out losses are compared with.
  public var reference: Reference
  /// The most held-out windows per domain; `nil` for as many as evaluations have.
  public var windows: Int?

  /// A rule from its parts.
  public init(every: Int, reference: Reference, windows: Int? = nil) {
    self.every = every
    self.reference = reference
    self.windows = windows
  }
}
