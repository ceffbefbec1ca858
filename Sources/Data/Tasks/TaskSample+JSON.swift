import Formats

extension TaskSample {
  /// Reads a sample; its fields say which form it has, further fields are ignored.
  init(json: JSON) throws(RecordProblem) {
    guard let object = json.object else {
      throw RecordProblem("not an object; write \(Self.forms)")
    }
    let matching = TaskForm.allCases.first { $0.fields.allSatisfy { object.contains($0) } }
    guard let form = matching else {
      throw RecordProblem("the fields fit no kind of task; write \(Self.forms)")
    }
    switch form {
    case .multipleChoice:
      let choices = try Self.texts(object["choices"], "choices")
      self = .choices(
        query: try Record.text(object["query"], "query"), choices: choices,
        gold: try Self.gold(object["gold"], of: choices.count))
    case .contextChoice:
      let options = try Self.texts(object["context_options"], "context_options")
      self = .contexts(
        options: options, continuation: try Self.filled(object["continuation"], "continuation"),
        gold: try Self.gold(object["gold"], of: options.count))
    case .cloze:
      self = .cloze(
        context: try Record.text(object["context"], "context"),
        continuation: try Self.filled(object["continuation"], "continuation"))
    case .generation:
      self = .question(
        context: try Self.filled(object["context"], "context"),
        answer: try Self.filled(object["answer"], "answer"))
    case .text: self = .text(try Self.filled(object["text"], "text"))
    case .recall:
      guard case .messages(let messages) = try Record(json: json),
        messages.contains(where: \.isAssistant)
      else { throw RecordProblem("\"messages\" has no assistant's answer; add one") }
      self = .recall(
        messages: messages, length: object["length"]?.int, depth: object["depth"]?.double)
    }
  }

  /// The forms as people write them.
  private static var forms: String {
    TaskForm.allCases.map { $0.fields.joined(separator: ", ") }.joined(separator: " | ")
  }

  private static func texts(_ value: JSON?, _ name: String) throws(RecordProblem) -> [String] {
    guard let list = value?.array, !list.isEmpty else {
      throw RecordProblem("\"\(name)\" is not a list with texts; write [\"…\", \"…\"]")
    }
    var texts: [String] = []
    for (index, item) in list.enumerated() {
      texts.append(try Record.text(item, "\(name)[\(index)]"))
    }
    return texts
  }

  private static func filled(_ value: JSON?, _ name: String) throws(RecordProblem) -> String {
    let text = try Record.text(value, name)
    guard !text.isEmpty else { throw RecordProblem("\"\(name)\" is empty; fill it") }
    return text
  }

  private static func gold(_ value: JSON?, of count: Int) throws(RecordProblem) -> Int {
    guard let gold = value?.int, (0..<count).contains(gold) else {
      throw RecordProblem("\"gold\" is not a number from 0 to \(count - 1); correct it")
    }
    return gold
  }
}
