import Formats

/// How a conversation is written down for a model.
public enum ChatFormat: String, CaseIterable, Sendable {
  /// `<|start_header_id|>role<|end_header_id|>`, two newlines, the trimmed content, `<|eot_id|>`;
  /// `<|begin_of_text|>` once at the start.
  case llama3
  /// `[INST] user [/INST] assistant` between `<s>` and `</s>`, the system text in `<<SYS>>` within
  /// the first user turn.
  case llama2
  /// `<|im_start|>role`, newline, content, `<|im_end|>`, newline.
  case chatml

  /// The names, for error messages.
  static var allNames: String { allCases.map(\.rawValue).joined(separator: "|") }

  /// Tells the format of a checkpoint folder: from `chat_template.jinja` or the `chat_template` of
  /// `tokenizer_config.json`, else from the special tokens.
  ///
  /// Templates are recognised by the markers they write, never executed; defaults that a template
  /// would add on its own (dates, a stock system prompt) are not reproduced.
  public static func detect(
    folder: String, tokenizer: Tokenizer
  ) throws(ChatError) -> ChatFormat {
    if let template = try template(inFolder: folder) {
      guard let format = ChatFormat(template: template) else {
        throw .unknownFormat(folder: folder)
      }
      return format
    }
    guard let format = ChatFormat(specialTokensOf: tokenizer) else {
      throw .unknownFormat(folder: folder)
    }
    return format
  }

  /// Recognises a chat template by its markers.
  public init?(template: String) {
    if template.hasText("<|start_header_id|>"), template.hasText("<|eot_id|>") {
      self = .llama3
    } else if template.hasText("<|im_start|>") {
      self = .chatml
    } else if template.hasText("[INST]"), template.hasText("<<SYS>>") {
      self = .llama2
    } else {
      return nil
    }
  }

  /// Recognises the format by special tokens; LLaMA-2's are too common to tell.
  public init?(specialTokensOf tokenizer: Tokenizer) {
    func has(_ tokens: String...) -> Bool { tokens.allSatisfy { tokenizer.id(of: $0) != nil } }
    if has("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>") {
      self = .llama3
    } else if has("<|im_start|>", "<|im_end|>") {
      self = .chatml
    } else {
      return nil
    }
  }

  /// The chat template of a checkpoint folder, as Jinja; `nil` when it has none.
  public static func template(inFolder folder: String) throws(ChatError) -> String? {
    let (jinja, config) = ("\(folder)/chat_template.jinja", "\(folder)/tokenizer_config.json")
    let template: JSON
    do {
      if Files.exists(jinja) {
        return String(decoding: try Files.read(jinja, maximumBytes: 1 << 20), as: UTF8.self)
      }
      guard Files.exists(config),
        let found = try ConfigurationFile(contentsOf: config)["chat_template"]
      else { return nil }
      template = found
    } catch {
      throw .unreadable("\(error)")
    }
    if let text = template.string { return text }
    let named = template.array?.first { $0["name"]?.string == "default" }
    return named?["template"]?.string
  }
}

extension String {
  fileprivate func hasText(_ text: String) -> Bool {
    let (own, other) = (Array(utf8), Array(text.utf8))
    guard let first = other.first, own.count >= other.count else { return false }
    return (0...own.count - other.count).contains {
      own[$0] == first && own[$0..<$0 + other.count].elementsEqual(other)
    }
  }
}
