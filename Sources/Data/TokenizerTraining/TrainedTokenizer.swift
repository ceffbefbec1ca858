import Formats

/// A byte-level BPE tokenizer made from learned merges, ready to be written as Hugging Face files.
///
/// Ids: 0..<256 the bytes in the order of the byte-level alphabet, then one per distinct merged
/// token, then the special tokens of the LLaMA-3 chat format.
public struct TrainedTokenizer: Sendable {
  /// The special tokens, in id order.
  public static let specialTokens = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|eot_id|>",
  ]

  /// The merges in the order they apply.
  public let merges: [BytePairMerge]
  /// The ordinary tokens as bytes, by id.
  public let tokens: [[UInt8]]

  /// A tokenizer from merges in the order they apply.
  public init(merges: [BytePairMerge]) {
    self.merges = merges
    var tokens = ByteAlphabet.order.map { [$0] }
    var seen = Set<[UInt8]>()
    // Two merges may build the same bytes; the token exists once.
    for merge in merges where seen.insert(merge.merged).inserted { tokens.append(merge.merged) }
    self.tokens = tokens
  }

  /// How many merges fit a vocabulary of the given size.
  public static func mergeLimit(vocabularySize: Int) -> Int {
    max(0, vocabularySize - 256 - specialTokens.count)
  }

  /// Ordinary and special tokens together.
  public var vocabularySize: Int { tokens.count + Self.specialTokens.count }

  /// The id of a special token.
  public func id(ofSpecial token: String) -> Int? {
    Self.specialTokens.firstIndex(of: token).map { tokens.count + $0 }
  }
}
