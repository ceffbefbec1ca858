/// Why a stage cannot start or go on.
public struct TrainingError: Error, CustomStringConvertible, Equatable, Sendable {
  /// What is wrong, where, and how to go on, in one line.
  public let description: String

  /// An error with its whole message.
  public init(_ description: String) { self.description = description }
}
