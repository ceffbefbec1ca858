import Formats

/// What is wrong with one record, in words that end in the way to fix it.
struct RecordProblem: Error {
  let text: String

  init(_ text: String) { self.text = text }
}

extension Record {
  static let roles: Set<String> = ["system", "user", "assistant", "tool"]

  /// Reads a record in any of the spellings in use:
  /// `{"messages": [{"role", "content"}]}`, `{"conversations": [{"from", "value"}]}`,
  /// `{"text"}`, `{"instruction", "input"?, "output"}`, `{"prompt", "response"}`.
  init(json: JSON) throws(RecordProblem) {
    guard let object = json.object else {
      throw RecordProblem("not an object; write {\"messages\": […]} or {\"text\": …}")
    }
    if let messages = object["messages"] {
      self = .messages(try Self.messages(messages, "messages", role: "role", content: "content"))
    } else if let turns = object["conversations"] {
      self = .messages(try Self.messages(turns, "conversations", role: "from", content: "value"))
    } else if object.contains("text") {
      self = .text(try Self.text(object["text"], "text"))
    } else if object.contains("instruction") {
      var prompt = try Self.text(object["instruction"], "instruction")
      if let input = object["input"], !input.isNull {
        let input = try Self.text(input, "input")
        if !input.isEmpty { prompt += "\n\n" + input }
      }
      self = .instruction(prompt: prompt, response: try Self.text(object["output"], "output"))
    } else if object.contains("prompt") {
      self = .instruction(
        prompt: try Self.text(object["prompt"], "prompt"),
        response: try Self.text(object["response"], "response"))
    } else {
      throw RecordProblem(
        "none of messages, conversations, text, instruction, prompt is present; "
          + "rename the fields to one of these spellings")
    }
  }

  /// The string of field `name`.
  static func text(_ value: JSON?, _ name: String) throws(RecordProblem) -> String {
    guard let value else { throw RecordProblem("\"\(name)\" is missing; add it as a string") }
    guard let text = value.string else {
      throw RecordProblem("\"\(name)\" is \(value.kindDescription); write it as a string")
    }
    return text
  }

  private static func messages(
    _ value: JSON, _ name: String, role: String, content: String
  ) throws(RecordProblem) -> [Message] {
    guard let list = value.array, !list.isEmpty else {
      throw RecordProblem("\"\(name)\" is not a list with messages; write [{\"\(role)\": …}, …]")
    }
    var messages: [Message] = []
    for (index, item) in list.enumerated() {
      let place = "\(name)[\(index)]"
      guard item.object != nil else {
        throw RecordProblem("\(place) is \(item.kindDescription); write {\"\(role)\": …}")
      }
      let spelled = try text(item[role], "\(place).\(role)")
      let spoken = try text(item[content], "\(place).\(content)")
      guard let known = Self.role(spelled) else {
        throw RecordProblem(
          "\(place) has the unknown role \"\(spelled.prefix(40))\"; "
            + "use system, user, assistant or tool")
      }
      messages.append(Message(role: known, content: spoken))
    }
    return messages
  }

  /// A role under its usual name; ShareGPT's names are taken too.
  private static func role(_ name: String) -> String? {
    switch name {
    case "human": "user"
    case "gpt", "model", "bot": "assistant"
    default: roles.contains(name) ? name : nil
    }
  }
}
