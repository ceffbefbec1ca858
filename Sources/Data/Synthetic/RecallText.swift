/// What has to be found again in a long text.
public enum RecallTask: String, CaseIterable, Sendable {
  /// One fact at a chosen depth of a text about something else, asked for at the end (needle in a
  /// haystack).
  case needle
  /// Several facts strewn over the text, some of them asked for in turn (multi-query associative recall,
  /// Arora et al. 2023, "Zoology").
  case recall

  /// Facts of a text.
  var facts: Int { self == .needle ? 1 : 8 }
  /// Facts that are asked for.
  var questions: Int { self == .needle ? 1 : 4 }
}

/// A seeded, endless source of chats whose answers stand in their own first message, at any length.
///
/// A record is a function of (seed, task, index, split, length, depth) and of how text is counted.
public struct RecallText: Sendable {
  /// The seed all records derive from.
  public let seed: UInt64

  /// The source of a seed.
  public init(seed: UInt64) { self.seed = seed }

  /// The fewest tokens a record can have, by any tokenizer: the facts and questions alone.
  public static func shortest(_ task: RecallTask) -> Int { task == .needle ? 64 : 256 }

  /// Tokens that a chat format may put around a message.
  private static let perMessage = 12

  /// The record at `index`, as many tokens long as `length` or a few less.
  ///
  /// - Parameters:
  ///   - depth: Where the needle lies, from 0, the beginning, to 1; drawn unless given. Facts of
  ///     ``RecallTask/recall`` lie anywhere.
  ///   - count: Tokens of a sentence with the space before it.
  public func messages(
    _ task: RecallTask, _ index: Int, length: Int, depth: Double? = nil,
    split: SyntheticSplit = .training, count: (String) -> Int
  ) -> [Message] {
    var random = SyntheticRandom(
      seed, task == .needle ? 101 : 102, UInt64(bitPattern: Int64(index)),
      split == .training ? 0 : 1, UInt64(length), UInt64(1000 * max(0, depth ?? 2)))
    let keys = random.distinct(task.facts, from: Self.keys)
    let values = keys.map { _ in random.int(10...99) }
    let facts = zip(keys, values).map { " The number of \($0) is \($1)." }
    let asked = random.distinct(task.questions, from: Array(keys.indices))
    let questions = asked.map { "What is the number of \(keys[$0])?" }
    let words =
      facts.reduce(0) { $0 + count($1) }
      + questions.reduce(0) { $0 + count(" " + $1) + count(" 10") }
    var room = length - words - Self.perMessage * 2 * questions.count
    var sentences: [String] = []
    while true {
      let sentence = Self.filler(&random)
      room -= count(sentence)
      guard room >= 0 else { break }
      sentences.append(sentence)
    }
    if task == .needle {
      let place = depth ?? Double(random.int(0...1000)) / 1000
      sentences.insert(facts[0], at: Int((place * Double(sentences.count)).rounded()))
    } else {
      for fact in facts { sentences.insert(fact, at: random.int(0...sentences.count)) }
    }
    let text = String(sentences.joined().dropFirst())
    return zip(asked, questions).enumerated().flatMap { turn, question in
      [
        Message.user(turn == 0 ? "\(text)\n\n\(question.1)" : question.1),
        .assistant("\(values[question.0])"),
      ]
    }
  }

  private static let keys = SyntheticWords.names + SyntheticWords.cities + SyntheticWords.words

  private static func filler(_ random: inout SyntheticRandom) -> String {
    let (one, two) = (random.pick(SyntheticWords.animals), random.pick(SyntheticWords.things))
    let (colour, day) = (random.pick(SyntheticWords.colours), random.pick(SyntheticWords.days))
    return switch random.int(0...3) {
    case 0: " The \(one) saw \(colour) \(two) on \(day)."
    case 1: " On \(day) the \(colour) \(one) was happy."
    case 2: " A \(one) likes \(two) and \(random.pick(SyntheticWords.foods))."
    default: " The \(two) are \(colour)."
    }
  }
}
