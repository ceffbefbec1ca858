/// Chat exercises: questions about facts, lists and words given at the start of the chat.
enum ConversationTasks {
  static let all: [SyntheticTask] = [
    SyntheticTask("facts", weight: 4, make: facts),
    SyntheticTask("position", weight: 2, make: position),
    SyntheticTask("category", weight: 2, make: category),
    SyntheticTask("order", weight: 1, make: order),
    SyntheticTask("reverse", weight: 2, make: reverse),
    SyntheticTask("calendar", weight: 2, make: calendar),
    SyntheticTask("memory", weight: 3, make: EditingTasks.memory),
    SyntheticTask("shopping", weight: 3, make: EditingTasks.shopping),
  ]

  /// An opening followed by the first question, then the other questions turn by turn.
  private static func chat(
    _ opening: String, _ exchanges: [(question: String, answer: String)]
  ) -> [Message] {
    exchanges.enumerated().flatMap { index, exchange in
      [
        .user(index == 0 ? "\(opening) \(exchange.question)" : exchange.question),
        Message.assistant(exchange.answer),
      ]
    }
  }

  /// Things told apart by colour, asked for by colour.
  @Sendable static func facts(_ random: inout SyntheticRandom) -> [Message] {
    let count = random.int(3...5)
    let colours = random.distinct(count, from: SyntheticWords.colours)
    let things = random.distinct(count, from: SyntheticWords.words)
    let name = random.pick(SyntheticWords.names)
    let told = (0..<count).map { "a \(colours[$0]) \(things[$0])" }
    let asked = random.distinct(random.int(2...3), from: Array(0..<count))
    return chat(
      "\(name) sees \(told.joined(separator: ", ")).",
      asked.map { index in
        ("What is \(colours[index])?", "\(name) sees a \(colours[index]) \(things[index]).")
      })
  }

  @Sendable static func position(_ random: inout SyntheticRandom) -> [Message] {
    let words = random.distinct(random.int(3...5), from: SyntheticWords.words)
    let last = words.count - 1
    let exchanges = (0..<2).map { _ -> (question: String, answer: String) in
      switch random.int(0...2) {
      case 0:
        let ordinal = random.int(0...last)
        let name = SyntheticWords.ordinals[ordinal]
        return (
          "What is the \(name) word?",
          "\(numbered(words[...ordinal])). The \(name) word is \(words[ordinal])."
        )
      case 1:
        let next = random.int(1...last)
        return (
          "Which word comes after \(words[next - 1])?",
          "The list goes \(words[next - 1]), \(words[next])."
        )
      default:
        return (
          "How many words are there?", "\(numbered(words[...])). There are \(words.count) words."
        )
      }
    }
    return chat("Here is a list: \(words.joined(separator: ", ")).", exchanges)
  }

  /// `1 moon, 2 wind, 3 sea`.
  private static func numbered(_ words: ArraySlice<String>) -> String {
    words.enumerated().map { "\($0 + 1) \($1)" }.joined(separator: ", ")
  }

  /// Words of different kinds, asked for by kind.
  @Sendable static func category(_ random: inout SyntheticRandom) -> [Message] {
    let kinds = random.distinct(
      4,
      from: [
        ("colour", SyntheticWords.colours), ("animal", SyntheticWords.animals),
        ("food", SyntheticWords.foods), ("city", SyntheticWords.cities),
        ("day", SyntheticWords.days), ("month", SyntheticWords.months),
        ("name", SyntheticWords.names),
      ])
    let words = kinds.map { random.pick($0.1) }
    let asked = random.distinct(random.int(2...3), from: [0, 1, 2, 3])
    return chat(
      "Look at these words: \(words.joined(separator: ", ")).",
      asked.map { ("Which one is the \(kinds[$0].0)?", "The \(kinds[$0].0) is \(words[$0]).") })
  }

  /// A chain of comparisons and questions about its ends.
  @Sendable static func order(_ random: inout SyntheticRandom) -> [Message] {
    let people = random.distinct(random.int(3...4), from: SyntheticWords.names)
    let (more, most, least) = random.pick([
      ("taller", "tallest", "shortest"), ("older", "oldest", "youngest"),
      ("faster", "fastest", "slowest"),
    ])
    let chain = zip(people, people.dropFirst()).map { "\($0) is \(more) than \($1)" }
    let ends = [(most, people[0]), (least, people[people.count - 1])]
    return chat(
      "We know that \(chain.joined(separator: ", ")).",
      random.distinct(random.int(1...2), from: ends).map {
        ("Who is the \($0.0)?", "The \($0.0) is \($0.1).")
      })
  }

  @Sendable static func reverse(_ random: inout SyntheticRandom) -> [Message] {
    let words = random.distinct(random.int(3...6), from: SyntheticWords.words)
    return [
      .user("Say these words in reverse order: \(words.joined(separator: ", "))."),
      .assistant("Reversed: \(words.reversed().joined(separator: ", "))."),
    ]
  }

  /// Steps through the days or months, counted aloud.
  @Sendable static func calendar(_ random: inout SyntheticRandom) -> [Message] {
    let name = random.pick(SyntheticWords.names)
    let city = random.pick(SyntheticWords.cities)
    let weekly = random.coin()
    let cycle = weekly ? SyntheticWords.days : SyntheticWords.months
    let start = random.int(0...cycle.count - 1)
    let steps = random.int(2...5)
    let passed = (1...steps).map { cycle[(start + $0) % cycle.count] }
    let (now, unit, preposition) =
      weekly ? ("Today", "days", "on") : ("This month", "months", "in")
    return [
      .user(
        "\(now) is \(cycle[start]). \(name) goes to \(city) in \(steps) \(unit). When is that?"),
      .assistant(
        "\(passed.joined(separator: ", ")). \(name) goes to \(city) \(preposition)"
          + " \(passed[steps - 1])."),
    ]
  }
}
