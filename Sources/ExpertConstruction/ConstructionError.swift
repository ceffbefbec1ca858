/// Why a conversion cannot start or had to stop: what, where, and what would work instead.
public struct ConstructionError: Error, Equatable, CustomStringConvertible, Sendable {
  /// What kind of obstacle this is.
  public enum Kind: Equatable, Sendable {
    /// The settings and this checkpoint do not go together; nothing was touched.
    case refused
    /// The source data is damaged.
    case damagedSource
    /// The written model does not equal the source.
    case proofFailed
  }

  /// The kind of obstacle.
  public let kind: Kind
  /// One line for the user.
  public let description: String

  init(_ kind: Kind = .refused, _ description: String) {
    self.kind = kind
    self.description = description
  }
}
