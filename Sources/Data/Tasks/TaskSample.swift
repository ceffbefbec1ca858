/// One sample of an evaluation task.
public enum TaskSample: Equatable, Sendable {
  /// A question and continuations of it, of which number `gold` is right.
  case choices(query: String, choices: [String], gold: Int)
  /// Beginnings for one continuation, of which number `gold` makes sense (Winogrande).
  case contexts(options: [String], continuation: String, gold: Int)
  /// A text and how it goes on (LAMBADA).
  case cloze(context: String, continuation: String)
  /// A question and the answer that a written-out solution must end in (GSM8K).
  case question(context: String, answer: String)
  /// Plain text.
  case text(String)
  /// A chat whose answers stand in what was said before; of how many tokens it is meant to be, and how
  /// deep in them the answer lies.
  case recall(messages: [Message], length: Int?, depth: Double?)

  /// What kind of task the sample belongs to.
  public var form: TaskForm {
    switch self {
    case .choices: .multipleChoice
    case .contexts: .contextChoice
    case .cloze: .cloze
    case .question: .generation
    case .text: .text
    case .recall: .recall
    }
  }
}

/// What is asked of a model, and so what is measured.
public enum TaskForm: String, CaseIterable, Sendable {
  /// Which of several continuations is likeliest.
  case multipleChoice = "multiple_choice"
  /// Behind which of several beginnings a continuation is likeliest.
  case contextChoice = "context_choice"
  /// How likely one continuation is.
  case cloze
  /// Whether generated text holds the answer.
  case generation
  /// How likely whole texts are.
  case text
  /// Whether a chat's answers come first, given all that was said before them.
  case recall

  /// The fields of a sample, by which the form is recognised.
  var fields: [String] {
    switch self {
    case .multipleChoice: ["query", "choices", "gold"]
    case .contextChoice: ["context_options", "continuation", "gold"]
    case .cloze: ["context", "continuation"]
    case .generation: ["context", "answer"]
    case .text: ["text"]
    case .recall: ["messages"]
    }
  }
}
