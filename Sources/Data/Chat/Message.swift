/// One turn of a conversation.
public struct Message: Equatable, Sendable {
  /// Who speaks: `system`, `user`, `assistant` or `tool`.
  public var role: String
  /// What is said.
  public var content: String

  /// A turn from its speaker and words.
  public init(role: String, content: String) {
    self.role = role
    self.content = content
  }

  /// Whether a model is trained to say this.
  var isAssistant: Bool { role == "assistant" }
}
