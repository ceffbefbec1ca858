/// One entry of a corpus.
public enum Record: Equatable, Sendable {
  /// A conversation; the assistant's words are learnt.
  case messages([Message])
  /// Plain text; all of it is learnt.
  case text(String)
  /// A task and its answer: a conversation of one question.
  case instruction(prompt: String, response: String)

  /// The record as a conversation, `nil` for plain text.
  public var conversation: [Message]? {
    switch self {
    case .messages(let messages): messages
    case .instruction(let prompt, let response):
      [Message(role: "user", content: prompt), Message(role: "assistant", content: response)]
    case .text: nil
    }
  }
}
