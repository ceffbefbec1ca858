extension Tokenizer {
  /// Reads `tokenizer.json` of a checkpoint folder, and checks it against `vocab_size` of
  /// `config.json` where that is present.
  public convenience init(folder: String) throws(TokenizerError) {
    let path = "\(folder)/tokenizer.json"
    let json = try Self.document(path)
    var rows: Int?
    let configuration = "\(folder)/config.json"
    if Files.exists(configuration) { rows = try Self.document(configuration)["vocab_size"]?.int }
    try self.init(json: json, modelVocabularySize: rows)
  }

  /// Reads the document of a `tokenizer.json`.
  ///
  /// - Parameter modelVocabularySize: the rows of the model's embedding; a token with an id at or
  ///   above it is an error. Rows without a token are normal.
  public convenience init(
    json: JSON, modelVocabularySize: Int? = nil
  ) throws(TokenizerError) {
    let loader = TokenizerLoader(document: json, modelVocabularySize: modelVocabularySize)
    self.init(try loader.parts())
  }

  private static func document(_ path: String) throws(TokenizerError) -> JSON {
    let bytes: [UInt8]
    do {
      bytes = try Files.read(path)
    } catch {
      throw .unreadable(path: path, reason: "\(error)")
    }
    do {
      return try JSON.parse(bytes)
    } catch {
      throw .unreadable(path: path, reason: "\(error)")
    }
  }
}
