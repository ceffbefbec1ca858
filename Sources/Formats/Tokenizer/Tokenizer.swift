import Synchronization

/// A tokenizer read from the `tokenizer.json` of a checkpoint folder.
///
/// Byte-level BPE (GPT-2, LLaMA-3, Qwen2) and SentencePiece-style BPE (LLaMA-2, with byte
/// fallback). Ids equal those of Hugging Face `tokenizers`, except that the `truncation` and
/// `padding` entries are not applied. Safe to use from several threads at once.
public final class Tokenizer: Sendable {
  let model: BytePairModel
  let normalization: [NormalizationStep]
  let preTokenizer: PreTokenizer
  /// Whether no merge reaches over the start of a run of marks, so that such runs begin pieces.
  let splitsAtMarks: Bool
  let literalTokens: AddedTokenMatcher
  let normalizedTokens: AddedTokenMatcher
  let addedTokens: [Int32: AddedToken]
  let decoding: DecodingPlan
  /// Ids that `addSpecialTokens` puts before and behind the text.
  let prefix: [Int32]
  let suffix: [Int32]
  private let addedIDs: [ByteString: Int32]
  private let irregularIDs: [ByteString: Int32]
  private let scratch = Mutex<[MergeScratch]>([])

  init(_ parts: TokenizerParts) {
    model = parts.model
    normalization = parts.normalization
    preTokenizer = parts.preTokenizer
    splitsAtMarks = parts.splitsAtMarks
    decoding = parts.decoding
    prefix = parts.prefix
    suffix = parts.suffix
    addedTokens = Dictionary(parts.addedTokens.map { ($0.id, $0) }) { first, _ in first }
    addedIDs = Dictionary(parts.addedTokens.map { (ByteString($0.content), $0.id) }) { a, _ in a }
    irregularIDs = parts.irregularIDs
    let special = parts.addedTokens.filter(\.special)
    let ordered = special + parts.addedTokens.filter { !$0.special }
    literalTokens = AddedTokenMatcher(
      ordered.filter { !$0.normalized }.map { ($0, Array($0.content.utf8)) })
    normalizedTokens = AddedTokenMatcher(
      ordered.filter(\.normalized).map { token in
        var bytes = Array(token.content.utf8)
        for step in parts.normalization { step.apply(to: &bytes) }
        return (token, bytes)
      })
    vocabularySize = max(
      parts.model.tokens.idLimit, (parts.addedTokens.map { Int($0.id) }.max() ?? -1) + 1)
  }

  /// One above the largest id. A model's embedding may have more rows.
  public let vocabularySize: Int

  /// The contents of the special tokens, by ascending id.
  public var specialTokens: [String] {
    addedTokens.values.filter(\.special).sorted { $0.id < $1.id }.map(\.content)
  }

  /// Whether `id` is a special token, which decoding leaves out on demand.
  public func isSpecial(_ id: Int32) -> Bool { addedTokens[id]?.special ?? false }

  /// The ids that `encode(_:addSpecialTokens:)` puts before a text, usually the
  /// beginning-of-sequence token.
  public var prefixTokens: [Int32] { prefix }

  /// The ids that `encode(_:addSpecialTokens:)` puts behind a text.
  public var suffixTokens: [Int32] { suffix }

  /// The id of a token as the vocabulary spells it (`Ġthe`, `▁the`, `<|eot_id|>`).
  public func id(of token: String) -> Int32? {
    let key = ByteString(token)
    if let id = addedIDs[key] ?? irregularIDs[key] { return id }
    guard model.isByteLevel else { return model.tokens.id(of: key.bytes) }
    guard let bytes = ByteAlphabet.decode(token) else { return nil }
    return model.tokens.id(of: bytes)
  }

  /// The token of an id as the vocabulary spells it, `nil` for an id not in use.
  public func token(of id: Int32) -> String? {
    if let added = addedTokens[id] { return added.content }
    guard model.tokens.contains(Int(id)) else {
      return irregularIDs.first { $0.value == id }.map {
        String(decoding: $0.key.bytes, as: UTF8.self)
      }
    }
    let bytes = model.tokens.bytes(of: Int(id))
    return model.isByteLevel
      ? ByteAlphabet.encode(bytes) : String(decoding: bytes, as: UTF8.self)
  }

  /// Runs `body` with working memory that no other thread uses meanwhile.
  func withScratch<Result>(_ body: (MergeScratch) -> Result) -> Result {
    let own = scratch.withLock { $0.popLast() } ?? MergeScratch()
    defer {
      own.trim()
      scratch.withLock { if $0.count < 16 { $0.append(own) } }
    }
    return body(own)
  }
}

/// A string compared by its bytes; `String` takes canonically equivalent ones for equal.
struct ByteString: Hashable, Sendable {
  let bytes: [UInt8]

  init(_ text: String) { bytes = Array(text.utf8) }
}

/// What the loader reads out of `tokenizer.json`.
struct TokenizerParts {
  var model: BytePairModel
  var normalization: [NormalizationStep]
  var preTokenizer: PreTokenizer
  var splitsAtMarks: Bool
  var decoding: DecodingPlan
  var prefix: [Int32]
  var suffix: [Int32]
  var addedTokens: [AddedToken]
  /// Tokens of a byte-level vocabulary that its alphabet cannot spell; no text produces them.
  var irregularIDs: [ByteString: Int32]
}
