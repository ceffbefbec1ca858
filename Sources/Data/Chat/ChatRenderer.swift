import Formats

/// A conversation as ids, with a mask of what the assistant says.
public struct RenderedChat: Equatable, Sendable {
  /// The token ids.
  public var ids: [Int32] = []
  /// One entry per id: 1 on the content and the end-of-turn token of assistant messages, else 0.
  public var lossMask: [UInt8] = []
}

/// Renders conversations with one tokenizer in one format.
///
/// Special tokens are placed by id. Text within messages never becomes a special token, so a
/// message cannot end its own turn.
public struct ChatRenderer: Sendable {
  /// The format conversations are written in.
  public let format: ChatFormat
  /// The tokenizer whose ids are used.
  public let tokenizer: Tokenizer
  /// What a conversation begins with.
  private let start: [Int32]
  /// The ids that open and close a header (LLaMA-3), or open a turn (ChatML, LLaMA-2).
  private let open: Int32
  private let close: Int32
  /// The token that ends an assistant's turn; generation stops at it.
  public let endOfTurn: Int32

  /// - Throws: ``ChatError`` when the tokenizer lacks a special token of the format.
  public init(format: ChatFormat, tokenizer: Tokenizer) throws(ChatError) {
    self.format = format
    self.tokenizer = tokenizer
    func id(_ token: String) throws(ChatError) -> Int32 {
      guard let id = tokenizer.id(of: token) else { throw .missingToken(token, format: format) }
      return id
    }
    switch format {
    case .llama3:
      start = [try id("<|begin_of_text|>")]
      (open, close) = (try id("<|start_header_id|>"), try id("<|end_header_id|>"))
      endOfTurn = try id("<|eot_id|>")
    case .llama2:
      start = []
      (open, close) = (try id("<s>"), try id("<s>"))
      endOfTurn = try id("</s>")
    case .chatml:
      start = tokenizer.prefixTokens
      (open, close) = (try id("<|im_start|>"), try id("<|im_start|>"))
      endOfTurn = try id("<|im_end|>")
    }
  }

  /// A whole conversation, for training and scoring.
  public func render(_ messages: [Message]) throws(ChatError) -> RenderedChat {
    try chat(messages, prompt: false)
  }

  /// A conversation and the header that lets the assistant speak next, for generation.
  public func renderPrompt(_ messages: [Message]) throws(ChatError) -> [Int32] {
    try chat(messages, prompt: true).ids
  }

  private func chat(_ messages: [Message], prompt: Bool) throws(ChatError) -> RenderedChat {
    guard !messages.isEmpty else { throw .noMessages }
    var writer = ChatWriter(tokenizer: tokenizer)
    writer.append(start)
    switch format {
    case .llama3:
      for message in messages { appendLlama3(message, &writer) }
      if prompt { appendLlama3Header("assistant", &writer, rest: "\n\n", assistantFrom: nil) }
    case .chatml:
      for (index, message) in messages.enumerated() {
        if index > 0 { writer.append(text: "\n") }
        appendChatML(message, &writer)
      }
      writer.append(text: "\n")
      if prompt {
        writer.append([open])
        writer.append(text: "assistant\n")
      }
    case .llama2:
      try appendLlama2(messages, prompt: prompt, &writer)
    }
    return writer.finish()
  }

  private func appendLlama3(_ message: Message, _ writer: inout ChatWriter) {
    let content = message.content.trimmed
    appendLlama3Header(
      message.role, &writer, rest: "\n\n" + content,
      assistantFrom: message.isAssistant ? 2 : nil)
    writer.append([endOfTurn], isLoss: message.isAssistant)
  }

  private func appendLlama3Header(
    _ role: String, _ writer: inout ChatWriter, rest: String, assistantFrom: Int?
  ) {
    writer.append([open])
    writer.append(text: role)
    writer.append([close])
    writer.append(text: rest, assistantFrom: assistantFrom)
  }

  private func appendChatML(_ message: Message, _ writer: inout ChatWriter) {
    writer.append([open])
    let header = message.role + "\n"
    writer.append(
      text: header + message.content,
      assistantFrom: message.isAssistant ? header.utf8.count : nil)
    writer.append([endOfTurn], isLoss: message.isAssistant)
  }

  private func appendLlama2(
    _ messages: [Message], prompt: Bool, _ writer: inout ChatWriter
  ) throws(ChatError) {
    var system = ""
    var turns = messages[...]
    if let first = turns.first, first.role == "system" {
      system = "<<SYS>>\n\(first.content)\n<</SYS>>\n\n"
      turns = turns.dropFirst()
    }
    var question: String?
    for (index, message) in zip(turns.indices, turns) {
      let expected = question == nil ? "user" : "assistant"
      guard message.role == expected else {
        throw .misplacedRole(
          message.role, index: index,
          rule: "llama2 alternates user and assistant after an optional system message; "
            + "expected \(expected)")
      }
      guard let asked = question else {
        question = "[INST] " + (system + message.content).trimmed + " [/INST]"
        system = ""
        continue
      }
      writer.append([open])
      let answer = " " + message.content.trimmed + " "
      writer.append(text: asked + answer, assistantFrom: asked.utf8.count + 1)
      writer.append([endOfTurn], isLoss: true)
      question = nil
    }
    if let question {
      writer.append([open])
      writer.append(text: question)
    } else if prompt || turns.isEmpty {
      throw .misplacedRole(
        messages[messages.count - 1].role, index: messages.count - 1,
        rule: "llama2 needs a user message last to answer")
    }
  }
}

/// Collects ids and mask.
private struct ChatWriter {
  let tokenizer: Tokenizer
  private var ids = ContiguousArray<Int32>()
  private var lossMask: [UInt8] = []

  init(tokenizer: Tokenizer) { self.tokenizer = tokenizer }

  mutating func append(_ tokens: [Int32], isLoss: Bool = false) {
    ids.append(contentsOf: tokens)
    lossMask.append(contentsOf: repeatElement(isLoss ? 1 : 0, count: tokens.count))
  }

  /// - Parameter assistantFrom: the UTF-8 offset where the assistant begins to speak; the token
  ///   that covers it counts as the assistant's.
  mutating func append(text: String, assistantFrom: Int? = nil) {
    let first = tokenizer.append(
      text, isFirst: ids.isEmpty, boundary: assistantFrom, to: &ids)
    let spoken = assistantFrom == nil ? ids.count : first
    lossMask.append(contentsOf: repeatElement(0, count: spoken - lossMask.count))
    lossMask.append(contentsOf: repeatElement(1, count: ids.count - spoken))
  }

  consuming func finish() -> RenderedChat {
    RenderedChat(ids: Array(ids), lossMask: lossMask)
  }
}
