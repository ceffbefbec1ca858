/// The pre-tokenization patterns in use, each matched by a hand-written scanner.
///
/// A general regular expression engine on text from outside can backtrack without bound; these
/// scanners look at every byte a constant number of times.
enum SplitPattern: Equatable, Sendable {
  /// GPT-2: contractions, words, numbers and punctuation, each with one optional leading space.
  case gpt2
  /// LLaMA-3 and cl100k: case-insensitive contractions, numbers in groups of up to three digits.
  case llama3
  /// Qwen2: as LLaMA-3, one digit at a time.
  case qwen2

  static let gpt2Regex =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
  static let llama3Regex = groupedRegex(number: #"\p{N}{1,3}"#)
  static let qwen2Regex = groupedRegex(number: #"\p{N}"#)

  private static func groupedRegex(number: String) -> String {
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + number
      + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  }

  /// Recognises a pattern by its exact text.
  init(regex: String) throws(TokenizerError) {
    let spelling = Array(regex.utf8)
    if spelling.elementsEqual(Self.gpt2Regex.utf8) {
      self = .gpt2
    } else if spelling.elementsEqual(Self.llama3Regex.utf8) {
      self = .llama3
    } else if spelling.elementsEqual(Self.qwen2Regex.utf8) {
      self = .qwen2
    } else {
      throw .unsupported(
        field: "pre_tokenizer pattern", value: regex,
        supported: "the exact patterns of GPT-2, LLaMA-3 (cl100k) and Qwen2")
    }
  }

  /// The end of the piece that starts at `start`; the pieces of a text cover it.
  @inline(__always)
  func endOfPiece(from start: Int, in text: ClassifiedText) -> Int {
    switch self {
    case .gpt2: text.endOfGPT2Piece(from: start)
    case .llama3: text.endOfGroupedPiece(from: start, digits: 3)
    case .qwen2: text.endOfGroupedPiece(from: start, digits: 1)
    }
  }
}
