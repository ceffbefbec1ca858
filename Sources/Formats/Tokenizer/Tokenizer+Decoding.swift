extension Tokenizer {
  /// The text of ids. Bytes that are not UTF-8 become U+FFFD; ids not in use produce nothing.
  ///
  /// - Parameter skipSpecial: whether special tokens are left out.
  public func decode(_ ids: [Int32], skipSpecial: Bool) -> String {
    var decoder = StreamingDecoder(self, skipSpecial: skipSpecial)
    for id in ids { decoder.take(id) }
    return decoder.finish()
  }

  /// The bytes of a token of a byte-level vocabulary. Added tokens go through the alphabet as well
  /// where it can spell them, as in `tokenizers`.
  func byteLevelBytes(of id: Int32) -> [UInt8] {
    if let added = addedTokens[id] {
      return ByteAlphabet.decode(added.content) ?? Array(added.content.utf8)
    }
    if model.tokens.contains(Int(id)) { return Array(model.tokens.bytes(of: Int(id))) }
    return Array((token(of: id) ?? "").utf8)
  }
}
