/// Arithmetic exercises; the longer ones are answered with their working, digit by digit.
enum MathTasks {
  static let all: [SyntheticTask] = [
    SyntheticTask("add", weight: 4, make: add),
    SyntheticTask("subtract", weight: 4, make: subtract),
    SyntheticTask("multiply", weight: 3, make: multiply),
    SyntheticTask("story", weight: 4, make: story),
    SyntheticTask("compare", weight: 2, make: compare),
    SyntheticTask("sequence", weight: 2, make: sequence),
    SyntheticTask("round", weight: 1, make: round),
    SyntheticTask("parity", weight: 1, make: parity),
  ]

  @Sendable static func add(_ random: inout SyntheticRandom) -> [Message] {
    let a = random.number(digits: 3)
    let b = random.number(digits: 3)
    let question = random.pick(["What is \(a) + \(b)?", "Add \(a) and \(b).", "\(a) + \(b) = ?"])
    return [
      .user(question),
      .assistant("\(ColumnArithmetic.addition(a, b)). Answer: \(a + b)"),
    ]
  }

  @Sendable static func subtract(_ random: inout SyntheticRandom) -> [Message] {
    let (a, b) = decreasingPair(&random)
    let question = random.pick([
      "What is \(a) - \(b)?", "Subtract \(b) from \(a).", "\(a) - \(b) = ?",
    ])
    return [
      .user(question),
      .assistant("\(ColumnArithmetic.subtraction(a, b)). Answer: \(a - b)"),
    ]
  }

  @Sendable static func multiply(_ random: inout SyntheticRandom) -> [Message] {
    let a = random.number(digits: 3)
    let b = random.int(2...9)
    let question = random.pick([
      "What is \(a) * \(b)?", "Multiply \(a) by \(b).", "\(a) * \(b) = ?",
    ])
    return [
      .user(question),
      .assistant("\(ColumnArithmetic.multiplication(a, by: b)). Answer: \(a * b)"),
    ]
  }

  @Sendable static func story(_ random: inout SyntheticRandom) -> [Message] {
    let people = random.distinct(2, from: SyntheticWords.names)
    let thing = random.pick(SyntheticWords.things)
    let (a, b) = decreasingPair(&random)
    let (who, other) = (people[0], people[1])
    if random.coin() {
      let event = random.pick(["finds \(b) more", "buys \(b) more", "gets \(b) from \(other)"])
      return [
        .user("\(who) has \(a) \(thing) and \(event). How many \(thing) does \(who) have now?"),
        .assistant(
          "\(a) + \(b): \(ColumnArithmetic.addition(a, b)). \(who) has \(a + b) \(thing)."),
      ]
    }
    let event = random.pick(["loses \(b)", "sells \(b)", "gives \(b) to \(other)"])
    return [
      .user("\(who) has \(a) \(thing) and \(event). How many \(thing) does \(who) have now?"),
      .assistant(
        "\(a) - \(b): \(ColumnArithmetic.subtraction(a, b)). \(who) has \(a - b) \(thing)."),
    ]
  }

  @Sendable static func compare(_ random: inout SyntheticRandom) -> [Message] {
    let a = random.number(digits: 3)
    var b = random.number(digits: 3)
    if a == b { b += 1 }
    return random.coin()
      ? [.user("Which is larger, \(a) or \(b)?"), .assistant("\(max(a, b)) is larger.")]
      : [.user("Which is smaller, \(a) or \(b)?"), .assistant("\(min(a, b)) is smaller.")]
  }

  @Sendable static func sequence(_ random: inout SyntheticRandom) -> [Message] {
    let start = random.int(1...60)
    let step = random.int(1...9)
    let terms = (0..<4).map { String(start + $0 * step) }.joined(separator: ", ")
    return [
      .user("Which number comes next: \(terms)?"),
      .assistant("The step is \(step). Next comes \(start + 4 * step)."),
    ]
  }

  @Sendable static func round(_ random: inout SyntheticRandom) -> [Message] {
    let a = random.int(11...998)
    return [
      .user("Round \(a) to the nearest ten."),
      .assistant("\((a + 5) / 10 * 10)"),
    ]
  }

  @Sendable static func parity(_ random: inout SyntheticRandom) -> [Message] {
    let a = random.number(digits: 3)
    return [
      .user("Is \(a) even or odd?"),
      .assistant("\(a) is \(a % 2 == 0 ? "even" : "odd")."),
    ]
  }

  /// Two numbers with the first at least as large as the second.
  private static func decreasingPair(_ random: inout SyntheticRandom) -> (Int, Int) {
    let a = random.number(digits: 3)
    let b = random.number(digits: 3)
    return (max(a, b), min(a, b))
  }
}
