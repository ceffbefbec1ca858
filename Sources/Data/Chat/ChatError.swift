/// Why a conversation cannot be rendered, or its format not be told.
public enum ChatError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Neither a template nor the special tokens tell the format.
  case unknownFormat(folder: String)
  /// The tokenizer lacks a token that the format is made of.
  case missingToken(String, format: ChatFormat)
  /// The format has no place for this message.
  case misplacedRole(String, index: Int, rule: String)
  /// A file that may hold the template cannot be used; the text says which and why.
  case unreadable(String)
  /// There is nothing to render.
  case noMessages

  public var description: String {
    switch self {
    case .unknownFormat(let folder):
      "\(folder): the chat format cannot be told from a chat template or special tokens; "
        + "name it with --chat-format \(ChatFormat.allNames)"
    case .missingToken(let token, let format):
      "the tokenizer has no special token \(token), which chat format \(format.rawValue) needs; "
        + "choose another --chat-format"
    case .misplacedRole(let role, let index, let rule):
      "message \(index + 1) has role \"\(role)\": \(rule)"
    case .unreadable(let reason): reason
    case .noMessages:
      "a conversation without messages; give it at least one"
    }
  }
}
