/// The three kinds of generated text, named like the domains of the real data.
public enum SyntheticDomain: String, CaseIterable, Sendable {
  case conversation
  case code
  case math
}

/// Which side of the hold-out a prompt is on.
public enum SyntheticSplit: String, CaseIterable, Sendable {
  case training
  case heldOut = "held-out"
}

extension Message {
  static func user(_ content: String) -> Message { Message(role: "user", content: content) }

  static func assistant(_ content: String) -> Message {
    Message(role: "assistant", content: content)
  }
}

/// A generated chat whose last reply is determined by what comes before it.
public struct SyntheticRecord: Equatable, Sendable {
  /// The domain the record was drawn for.
  public let domain: SyntheticDomain
  /// The task within the domain, such as `add` or `list-index`.
  public let task: String
  /// The whole chat; the last message is the assistant's answer.
  public let messages: [Message]

  /// The one correct last reply.
  public var answer: String { messages.last?.content ?? "" }

  /// The chat without its last message: what a model is given.
  public var prompt: [Message] { messages.dropLast() }

  /// Exact match: the reply equals the answer, worked steps included.
  /// Surrounding white space is ignored.
  public func isCorrect(reply: String) -> Bool {
    Self.trimmed(reply) == Self.trimmed(answer)
  }

  /// The side of the hold-out this prompt belongs to, whatever the seed.
  public var split: SyntheticSplit { Self.split(of: prompt) }

  /// One prompt in 16 is held out, by the FNV-1a hash of its roles and contents.
  static func split(of prompt: [Message]) -> SyntheticSplit {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for message in prompt {
      for text in [message.role, message.content] {
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ 0xFF) &* 0x100_0000_01B3  // 0xFF is no UTF-8 byte, so fields cannot run on.
      }
    }
    return SyntheticRandom.mix(hash) % 16 == 0 ? .heldOut : .training
  }

  private static func trimmed(_ text: String) -> Substring {
    var rest = text[...]
    while rest.first?.isWhitespace == true { rest.removeFirst() }
    while rest.last?.isWhitespace == true { rest.removeLast() }
    return rest
  }
}
