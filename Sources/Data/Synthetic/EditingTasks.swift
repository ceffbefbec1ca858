/// Chats whose turns build something up, which the last turn asks for.
enum EditingTasks {
  /// Things a person says about themselves, one a turn, then a question about one of them.
  @Sendable static func memory(_ random: inout SyntheticRandom) -> [Message] {
    let topics: [(String, [String])] = [
      ("name", SyntheticWords.names), ("city", SyntheticWords.cities),
      ("favourite animal", SyntheticWords.animals), ("favourite food", SyntheticWords.foods),
      ("favourite colour", SyntheticWords.colours),
    ]
    let chosen = random.distinct(random.int(2...3), from: topics)
    let values = chosen.map { random.pick($0.1) }
    var messages: [Message] = []
    for (topic, value) in zip(chosen, values) {
      messages.append(.user("My \(topic.0) is \(value)."))
      messages.append(.assistant("Good to know: \(value)."))
    }
    let asked = random.int(0...chosen.count - 1)
    messages.append(.user("What is my \(chosen[asked].0)?"))
    messages.append(.assistant("Your \(chosen[asked].0) is \(values[asked])."))
    return messages
  }

  /// A shopping list that grows and shrinks; every reply reads it out.
  @Sendable static func shopping(_ random: inout SyntheticRandom) -> [Message] {
    var pool = random.distinct(8, from: SyntheticWords.foods)
    var items = Array(pool.prefix(random.int(2...3)))
    pool.removeFirst(items.count)
    var messages: [Message] = [
      .user("My shopping list: \(items.joined(separator: ", "))."), .assistant(read(items)),
    ]
    for _ in 0..<random.int(1...3) {
      if items.count < 3 || (items.count < 5 && random.coin()) {
        items.append(pool.removeLast())
        messages.append(.user("Add \(items[items.count - 1])."))
      } else {
        messages.append(.user("Remove \(items.remove(at: random.int(0...items.count - 1)))."))
      }
      messages.append(.assistant(read(items)))
    }
    return messages
  }

  private static func read(_ items: [String]) -> String {
    "Your list: \(items.joined(separator: ", "))."
  }
}
