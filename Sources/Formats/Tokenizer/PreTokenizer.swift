/// How normalized text is cut into the pieces that the model encodes one by one.
enum PreTokenizer: Equatable, Sendable {
  /// The text as a whole.
  case none
  /// Pieces of a split pattern (or the whole text), as bytes.
  case byteLevel(SplitPattern?, addsPrefixSpace: Bool)
  /// Spaces become a visible mark that begins words.
  case metaspace(Metaspace)
}

/// SentencePiece's treatment of spaces as a pre-tokenizer.
struct Metaspace: Equatable, Sendable {
  /// Where the mark is put before a text that does not begin with it.
  enum PrependScheme: String, Equatable, Sendable {
    /// Before every stretch of text between added tokens.
    case always
    /// Before the text only.
    case first
    case never
  }

  /// The UTF-8 of the mark, usually U+2581.
  var mark: [UInt8] = [0xE2, 0x96, 0x81]
  var prependScheme = PrependScheme.always
  /// Whether every mark begins a piece; otherwise the text is one piece.
  var splits = true

  func apply(to text: inout [UInt8], isFirst: Bool) {
    text = text.replacing([0x20], with: mark)
    guard prependScheme == .always || (prependScheme == .first && isFirst) else { return }
    if !text.starts(with: mark) { text.insert(contentsOf: mark, at: 0) }
  }
}

extension UnsafeBufferPointer<UInt8> {
  /// The next place at or behind `index` where `pattern` stands, or the end.
  func nextOccurrence(of pattern: [UInt8], from index: Int) -> Int {
    guard let first = pattern.first else { return count }
    var index = index
    while index + pattern.count <= count {
      if self[index] == first,
        self[index..<index + pattern.count].elementsEqual(pattern)
      {
        return index
      }
      index += 1
    }
    return count
  }
}
