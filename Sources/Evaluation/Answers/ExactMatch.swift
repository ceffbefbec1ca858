import Data
import Formats
import Models
import Numerics

/// How often a model's greedy answer is the reference answer, character for character once white
/// space at the ends is trimmed.
public struct ExactMatch: Sendable, Equatable {
  /// One question.
  public struct Answer: Sendable, Equatable {
    /// The last message before the answer.
    public let question: String
    /// The reference answer.
    public let expected: String
    /// The model's answer.
    public let given: String

    /// Whether they are the same.
    public var isMatch: Bool { expected == given }
  }

  /// Every question asked, in order.
  public let answers: [Answer]

  /// A result from its answers.
  public init(answers: [Answer]) { self.answers = answers }

  /// Correct answers.
  public var matches: Int { answers.count { $0.isMatch } }

  /// Correct answers over all; 0 when none were asked.
  public var rate: Double {
    answers.isEmpty ? 0 : Double(matches) / Double(answers.count)
  }

  /// The result for machines.
  public var json: JSON {
    ["rate": JSON(rate), "matches": JSON(matches), "prompts": JSON(answers.count)]
  }
}

extension ExactMatch {
  /// Asks `model` every conversation's last question and compares with its last answer.
  ///
  /// - Parameters:
  ///   - conversations: Only those that end with an assistant's message are asked.
  ///   - stops: Tokens that end an answer, besides the chat format's own.
  ///   - limit: The most tokens of an answer.
  ///   - progress: Told after each answer how many are done.
  /// - Throws: ``ChatError`` when a conversation does not fit the chat format.
  public init(
    of model: LanguageModel, on conversations: [[Message]], renderer: ChatRenderer,
    stops: Set<Int32> = [], limit: Int = 256, in context: Context,
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws(ChatError) {
    let asked = conversations.filter { $0.count > 1 && $0.last?.role == "assistant" }
    let stops = stops.union([renderer.endOfTurn])
    var answers: [Answer] = []
    for conversation in asked {
      let (question, expected) = (conversation.dropLast(), conversation[conversation.count - 1])
      let prompt = try renderer.renderPrompt(Array(question))
      let room = max(0, model.configuration.maximumPositions - prompt.count)
      let generator = TextGenerator(model, capacity: prompt.count + min(limit, room), in: context)
      var sampler = Sampler()
      let reply = generator.reply(
        to: prompt, sampler: &sampler, stops: stops, limit: min(limit, room)
      ) { _ in }
      let given = renderer.tokenizer.decode(reply.tokens, skipSpecial: true)
      answers.append(
        Answer(
          question: question.last?.content ?? "", expected: expected.content.withoutOuterSpace,
          given: given.withoutOuterSpace))
      progress(answers.count, asked.count)
    }
    self.init(answers: answers)
  }
}

extension String {
  fileprivate var withoutOuterSpace: String {
    let kept = drop { $0.isWhitespace }
    guard let last = kept.lastIndex(where: { !$0.isWhitespace }) else { return "" }
    return String(kept[...last])
  }
}
