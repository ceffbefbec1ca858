import Glibc

/// The learning rate over a stage's steps, as a factor of its peak.
public struct Schedule: Sendable, Equatable {
  /// The shape after warm-up.
  public enum Kind: String, Sendable, CaseIterable {
    /// Half a cosine from 1 to the final fraction (Loshchilov and Hutter 2017).
    case cosine
    /// A straight line from 1 to the final fraction.
    case linear
    /// 1 throughout.
    case constant
  }

  /// The shape after warm-up.
  public var kind = Kind.cosine
  /// Steps over which the factor rises in a straight line to 1.
  public var warmupSteps = 10
  /// The factor approached at the end; without meaning for ``Kind/constant``.
  public var finalFraction = 0.0

  /// The default: 10 steps of warm-up, then a cosine to 0.
  public init(kind: Kind = .cosine, warmupSteps: Int = 10, finalFraction: Double = 0) {
    self.kind = kind
    self.warmupSteps = warmupSteps
    self.finalFraction = finalFraction
  }

  /// The factor of step `step` (from 0) out of `steps`.
  ///
  /// The first step after warm-up has factor 1 and the step after the last would have the final
  /// fraction, so that no step of a decay to 0 is spent at rate 0.
  public func factor(step: Int, of steps: Int) -> Double {
    if step < warmupSteps { return Double(step + 1) / Double(warmupSteps) }
    guard kind != .constant, steps > warmupSteps else { return 1 }
    let progress = min(1, Double(step - warmupSteps) / Double(steps - warmupSteps))
    let remaining = kind == .cosine ? (1 + cos(Double.pi * progress)) / 2 : 1 - progress
    return finalFraction + (1 - finalFraction) * remaining
  }
}
