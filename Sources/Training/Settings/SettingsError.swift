/// A setting that is missing, unknown, of the wrong kind or out of bounds.
public struct SettingsError: Error, CustomStringConvertible, Equatable, Sendable {
  /// File, key path, what is wrong and how to fix it, in one line.
  public let description: String

  /// An error with its whole message.
  public init(_ description: String) { self.description = description }
}
