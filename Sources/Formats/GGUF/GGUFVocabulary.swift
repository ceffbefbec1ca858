/// A byte-level tokenizer as GGUF metadata, spelled so that llama.cpp's `gpt2` vocabulary encodes
/// text as the `tokenizer.json` does.
public struct GGUFVocabulary: Sendable {
  /// The keys under `tokenizer.`.
  public let metadata: [(key: String, value: GGUFValue)]
  /// What a reader of the file will do differently, one line each.
  public let notes: [String]

  /// The kinds of tokens; raw values are those of the format.
  enum Kind: Int32 {
    case normal = 1
    case control = 3
    case userDefined = 4
    case unused = 5
  }

  /// Reads `tokenizer.json` of a checkpoint folder.
  ///
  /// - Parameters:
  ///   - rows: Rows of the model's embedding; rows without a token become unused tokens.
  ///   - beginning: The token that begins a text, when the configuration names one.
  ///   - ends: The tokens that end a text; the first is the end of text.
  ///   - chatTemplate: How conversations are written, as Jinja; `nil` for none.
  /// - Throws: `TokenizerError`, or ``GGUFError`` for a tokenizer that llama.cpp would apply otherwise.
  public init(
    folder: String, rows: Int, beginning: Int?, ends: [Int], chatTemplate: String?
  ) throws {
    let path = "\(folder)/tokenizer.json"
    let document = try JSON.parse(Files.read(path))
    let tokenizer = try Tokenizer(json: document, modelVocabularySize: rows)
    let pre = try Self.preTokenizer(tokenizer, path)
    var spellings: [String] = []
    var kinds: [Int32] = []
    for id in 0..<Int32(rows) {
      let spelling = tokenizer.token(of: id)
      spellings.append(spelling ?? "[PAD\(id)]")
      let added = tokenizer.addedTokens[id]
      let kind: Kind = added.map { $0.special ? .control : .userDefined } ?? .normal
      kinds.append((spelling == nil ? Kind.unused : kind).rawValue)
    }
    let merges = (document["model"]?["merges"]?.array ?? []).compactMap {
      TokenizerLoader.pair($0).map { "\($0.0) \($0.1)" }
    }
    var metadata: [(key: String, value: GGUFValue)] = [
      ("tokenizer.ggml.model", .string("gpt2")), ("tokenizer.ggml.pre", .string(pre)),
      ("tokenizer.ggml.tokens", .strings(spellings)), ("tokenizer.ggml.token_type", .i32s(kinds)),
      ("tokenizer.ggml.merges", .strings(merges)),
    ]
    let begins = tokenizer.prefixTokens.first.map(Int.init) ?? beginning
    for (key, id) in [("bos", begins), ("eos", ends.first)] {
      guard let id else { continue }
      metadata.append(("tokenizer.ggml.\(key)_token_id", try .count(id, key)))
    }
    // What ends a turn when several tokens end texts, as in LLaMA-3: eos and eot may differ.
    if ends.count > 1, let last = ends.last {
      metadata.append(("tokenizer.ggml.eot_token_id", try .count(last, "eot")))
    }
    metadata.append(("tokenizer.ggml.add_bos_token", .bool(!tokenizer.prefixTokens.isEmpty)))
    metadata.append(("tokenizer.ggml.add_eos_token", .bool(!tokenizer.suffixTokens.isEmpty)))
    if let chatTemplate { metadata.append(("tokenizer.chat_template", .string(chatTemplate))) }
    self.metadata = metadata
    notes = Self.differences(tokenizer)
  }

  /// The name under which llama.cpp knows the split pattern and the use of merges.
  private static func preTokenizer(_ tokenizer: Tokenizer, _ path: String) throws(GGUFError)
    -> String
  {
    guard tokenizer.model.isByteLevel else {
      throw GGUFError(
        "\(path): a SentencePiece-style tokenizer, whose scores a tokenizer.json does not have; GGUF "
          + "is written for byte-level ones (LLaMA-3, Qwen2, GPT-2), take --format mixtral or "
          + "granitemoeshared")
    }
    guard case .byteLevel(let pattern, let addsSpace) = tokenizer.preTokenizer, let pattern,
      !addsSpace
    else {
      throw GGUFError(
        "\(path): llama.cpp has no vocabulary without a split pattern or with a space put before the "
          + "text; take a stock format that keeps tokenizer.json")
    }
    switch (pattern, tokenizer.model.ignoresMerges) {
    case (.llama3, true): return "llama-bpe"
    // The same pattern, but whole tokens are not taken before merges are tried.
    case (.llama3, false): return "smaug-bpe"
    case (.gpt2, false): return "gpt-2"
    case (.qwen2, false): return "qwen2"
    case (_, true):
      throw GGUFError(
        "\(path): llama.cpp takes whole tokens before merges (ignore_merges) with LLaMA-3's pattern "
          + "only; take a stock format that keeps tokenizer.json")
    }
  }

  private static func differences(_ tokenizer: Tokenizer) -> [String] {
    var notes: [String] = []
    if !tokenizer.normalization.isEmpty {
      notes.append("llama.cpp does not normalise text as tokenizer.json asks; give it NFC text")
    }
    let strict = tokenizer.addedTokens.values
      .filter { $0.stripsLeft || $0.stripsRight || $0.singleWord }.count
    if strict > 0 {
      notes.append("\(strict) added tokens strip spaces or want whole words, which GGUF cannot say")
    }
    if tokenizer.prefixTokens.count > 1 || tokenizer.suffixTokens.count > 1 {
      notes.append("GGUF holds one token before and one behind a text; tokenizer.json adds more")
    }
    return notes
  }
}
