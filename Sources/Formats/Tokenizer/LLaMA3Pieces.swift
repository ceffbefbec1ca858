extension Tokenizer {
  /// A text cut into the pieces of LLaMA-3's split pattern, which merges never cross: what a
  /// tokenizer of that style is trained on.
  public static func llama3Pieces(of text: String) -> [String] {
    var text = text
    return text.withUTF8 { bytes in
      guard let base = bytes.baseAddress else { return [] }
      let classified = ClassifiedText(base, count: bytes.count)
      var pieces: [String] = []
      var start = 0
      while start < bytes.count {
        let end = SplitPattern.llama3.endOfPiece(from: start, in: classified)
        pieces.append(String(decoding: bytes[start..<end], as: UTF8.self))
        start = end
      }
      return pieces
    }
  }
}
