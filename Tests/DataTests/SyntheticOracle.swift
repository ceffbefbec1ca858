import Testing

@testable import Data

/// Works out the end of a correct reply from the prompt text alone, sharing no code with the
/// generator.
enum SyntheticOracle {
  static func result(of record: SyntheticRecord) throws -> String? {
    let question = try #require(record.prompt.last).content
    switch record.domain {
    case .math: return try math(record.task, question)
    case .code: return record.task.hasPrefix("write") ? nil : "\n" + (try run(question))
    case .conversation:
      return try conversation(record.task, record.prompt.map(\.content), question)
    }
  }

  // MARK: Math

  private static func math(_ task: String, _ question: String) throws -> String {
    let n = numbers(in: question)
    switch task {
    case "add": return ": \(n[0] + n[1])"
    case "subtract":
      return ": " + String(question.hasPrefix("Subtract") ? n[1] - n[0] : n[0] - n[1])
    case "multiply": return ": \(n[0] * n[1])"
    case "story":
      let loses = ["loses", "sells", "gives"].contains { question.contains($0) }
      return " has \(loses ? n[0] - n[1] : n[0] + n[1]) \(words(question)[3])."
    case "compare":
      let larger = question.contains("larger")
      return "\((n[0] > n[1]) == larger ? n[0] : n[1]) is \(larger ? "larger" : "smaller")."
    case "sequence": return "comes \(n[3] + n[3] - n[2])."
    case "round":
      let rest = n[0] % 10
      return String(rest < 5 ? n[0] - rest : n[0] + 10 - rest)
    case "parity": return "\(n[0]) is \(["even", "odd"][n[0] & 1])."
    default: throw Unknown(task: task)
    }
  }

  struct Unknown: Error { let task: String }

  static func numbers(in text: String) -> [Int] {
    text.split(whereSeparator: { !$0.isNumber }).compactMap { Int($0) }
  }

  private static func words(_ text: String) -> [String] {
    text.split(whereSeparator: { !$0.isLetter && $0 != "'" && !$0.isNumber }).map(String.init)
  }

  // MARK: Conversation

  private static func conversation(
    _ task: String, _ prompt: [String], _ question: String
  ) throws -> String {
    let opening = prompt[0]
    let asked = words(question)
    let last = try #require(asked.last)
    switch task {
    case "facts":
      let told = words(opening)
      let at = try #require(told.firstIndex(of: last))
      return "\(told[0]) sees a \(last) \(told[at + 1])."
    case "memory":
      let topic = question.dropFirst("What is my ".count).dropLast()
      let fact = try #require(prompt.first { $0.hasPrefix("My \(topic) is ") })
      return "Your" + fact.dropFirst(2)
    case "order":
      let people = names(opening.split(separator: ".")[0])
      let top = ["tallest", "oldest", "fastest"].contains(last)
      return "is \(top ? people.first ?? "" : people.last ?? "")."
    case "reverse":
      let list = try #require(opening.split(separator: ":").last)
      return ": " + words(String(list)).reversed().joined(separator: ", ") + "."
    case "position":
      let list = words(String(opening.split(separator: ":")[1].split(separator: ".")[0]))
      if question.contains("How many") { return "There are \(list.count) words." }
      if question.contains("after") {
        let at = try #require(list.firstIndex(of: last))
        return "goes \(list[at]), \(list[at + 1])."
      }
      let ordinals = ["first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4]
      let ordinal = asked[asked.count - 2]
      return "The \(ordinal) word is \(list[try #require(ordinals[ordinal])])."
    case "category":
      let list = words(String(opening.split(separator: ":")[1].split(separator: ".")[0]))
      return try category(last, list)
    case "calendar": return try calendar(opening)
    case "shopping":
      var list: [String] = []
      for turn in prompt where !turn.hasPrefix("Your list") {
        let items = words(String(turn.split(separator: ":").last ?? ""))
        if turn.hasPrefix("My") { list = items }
        if turn.hasPrefix("Add") { list.append(items[1]) }
        if turn.hasPrefix("Remove") { list.removeAll { $0 == items[1] } }
      }
      return "Your list: \(list.joined(separator: ", "))."
    default: throw Unknown(task: task)
    }
  }

  /// The capitalised words after "We know that", each once, in order.
  private static func names(_ text: Substring) -> [String] {
    words(String(text)).dropFirst().filter { $0.first?.isUppercase == true }
      .reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }

  private static func category(_ kind: String, _ list: [String]) throws -> String {
    let members: [String: [String]] = [
      "colour": SyntheticWords.colours, "animal": SyntheticWords.animals,
      "food": SyntheticWords.foods, "city": SyntheticWords.cities, "day": SyntheticWords.days,
      "month": SyntheticWords.months, "name": SyntheticWords.names,
    ]
    let fitting = list.filter { members[kind]?.contains($0) == true }
    try #require(fitting.count == 1, "more than one \(kind) in \(list)")
    return "The \(kind) is \(fitting[0])."
  }

  private static func calendar(_ opening: String) throws -> String {
    let days = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(separator: " ")
    let months =
      "January February March April May June July August September October November December"
      .split(separator: " ")
    let cycle = opening.hasPrefix("Today") ? days : months
    let spoken = words(opening)
    let start = try #require(cycle.firstIndex { spoken.contains(String($0)) })
    let goal = cycle[(start + (try #require(numbers(in: opening).first))) % cycle.count]
    return opening.hasPrefix("Today") ? " on \(goal)." : " in \(goal)."
  }
}
