/// A workflow that cannot go on.
public struct WorkflowError: Error, CustomStringConvertible, Sendable, Equatable {
  /// What is wrong, where, and how to fix it, in one line.
  public let description: String

  /// An error with its whole message.
  public init(_ description: String) { self.description = description }
}
