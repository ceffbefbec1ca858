/// Turns the document of a `tokenizer.json` into the parts of a `Tokenizer`.
struct TokenizerLoader {
  let document: JSON
  let modelVocabularySize: Int?

  /// Ids are array indices, so the largest one bounds the memory a file can ask for.
  static let idLimit = 1 << 24
  static let addedTokenLimit = 1 << 18
  static let addedContentLimit = 1 << 16
  static let mark = Array("▁".utf8)

  func parts() throws(TokenizerError) -> TokenizerParts {
    guard document.object != nil else {
      throw .malformed(field: "document", problem: "not an object")
    }
    let pipeline = PipelineLoader(document: document)
    let normalization = try pipeline.normalization()
    let preTokenizer = try pipeline.preTokenizer()
    let isByteLevel = if case .byteLevel = preTokenizer { true } else { false }
    let vocabulary = try vocabulary(isByteLevel: isByteLevel)
    let merges = try merges(vocabulary)
    let model = try model(vocabulary, merges.table)
    let added = try addedTokens(vocabulary)
    let splitsAtMarks =
      preTokenizer != .none || model.ignoresMerges
      ? false : merges.keepMarksFirst && model.tokens.id(of: Self.mark) != nil
    let template = try pipeline.template { token in
      added.first { ByteString($0.content) == ByteString(token) }?.id ?? vocabulary.id(of: token)
    }
    return TokenizerParts(
      model: model, normalization: normalization, preTokenizer: preTokenizer,
      splitsAtMarks: splitsAtMarks, decoding: try pipeline.decoding(), prefix: template.prefix,
      suffix: template.suffix, addedTokens: added, irregularIDs: vocabulary.irregular)
  }

  // MARK: Vocabulary

  struct Vocabulary {
    let isByteLevel: Bool
    let table: TokenTable
    let irregular: [ByteString: Int32]

    func id(of token: String) -> Int32? {
      if isByteLevel {
        guard let bytes = ByteAlphabet.decode(token) else { return irregular[ByteString(token)] }
        return table.id(of: bytes)
      }
      return table.id(of: Array(token.utf8))
    }

    func isUsed(_ id: Int32) -> Bool {
      table.contains(Int(id)) || irregular.values.contains(id)
    }
  }

  private func vocabulary(isByteLevel: Bool) throws(TokenizerError) -> Vocabulary {
    guard let entries = document["model"]?["vocab"]?.object else {
      throw .malformed(field: "model.vocab", problem: "not an object of token to id")
    }
    var tokens: [[UInt8]?] = []
    var irregular: [ByteString: Int32] = [:]
    var used: [Bool] = []
    for (token, value) in entries {
      let id = try checkedID(value, "model.vocab[\"\(token.oneLine)\"]")
      if id >= tokens.count {
        tokens.append(contentsOf: repeatElement(nil, count: id + 1 - tokens.count))
        used.append(contentsOf: repeatElement(false, count: id + 1 - used.count))
      }
      guard !used[id] else {
        throw .malformed(field: "model.vocab", problem: "two tokens have the id \(id)")
      }
      used[id] = true
      if !isByteLevel {
        tokens[id] = Array(token.utf8)
      } else if let bytes = ByteAlphabet.decode(token) {
        tokens[id] = bytes
      } else {
        irregular[ByteString(token)] = Int32(id)
      }
    }
    do {
      let table = try TokenTable(tokens)
      return Vocabulary(isByteLevel: isByteLevel, table: table, irregular: irregular)
    } catch {
      throw .malformed(field: "model.vocab", problem: "the token with id \(error.id) occurs twice")
    }
  }

  private func checkedID(_ value: JSON?, _ field: String) throws(TokenizerError) -> Int {
    guard let id = value?.int, id >= 0, id < Self.idLimit else {
      throw .malformed(
        field: field, problem: "the id is not an integer from 0 to \(Self.idLimit - 1)")
    }
    if let rows = modelVocabularySize, id >= rows {
      throw .malformed(
        field: field, problem: "the id \(id) has no row: config.json says vocab_size \(rows)")
    }
    return id
  }

  // MARK: Model

  private func model(
    _ vocabulary: Vocabulary, _ merges: MergeTable
  ) throws(TokenizerError) -> BytePairModel {
    let model = document["model"]
    if let type = model?["type"]?.string, type != "BPE" {
      throw .unsupported(field: "model.type", value: type, supported: "BPE")
    }
    for field in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let value = model?[field]?.string, !value.isEmpty {
        throw .unsupported(field: "model.\(field)", value: value, supported: "none")
      }
    }
    if let dropout = model?["dropout"]?.double, dropout != 0 {
      throw .unsupported(field: "model.dropout", value: "\(dropout)", supported: "0")
    }
    let fallsBackToBytes = model?["byte_fallback"]?.bool ?? false
    if fallsBackToBytes, vocabulary.isByteLevel {
      throw .unsupported(
        field: "model.byte_fallback", value: "true", supported: "false with byte-level pieces")
    }
    var unknown: Int32?
    if let token = model?["unk_token"]?.string {
      guard let id = vocabulary.id(of: token) else {
        throw .malformed(
          field: "model.unk_token", problem: "\"\(token.oneLine)\" is not in the vocabulary")
      }
      unknown = id
    }
    let byteIDs = (0..<256).map { byte -> Int32 in
      if vocabulary.isByteLevel { return vocabulary.table.id(of: [UInt8(byte)]) ?? -1 }
      let digits = String(byte, radix: 16, uppercase: true)
      let name = "<0x" + (digits.utf8.count < 2 ? "0" : "") + digits + ">"
      return vocabulary.table.id(of: Array(name.utf8)) ?? -1
    }
    return BytePairModel(
      tokens: vocabulary.table, merges: merges, isByteLevel: vocabulary.isByteLevel,
      byteIDs: byteIDs, fallsBackToBytes: fallsBackToBytes, unknown: unknown,
      fusesUnknown: model?["fuse_unk"]?.bool ?? false,
      ignoresMerges: model?["ignore_merges"]?.bool ?? false)
  }

  // MARK: Merges

  private struct Merges {
    var table: MergeTable
    /// Whether no merge puts a mark behind anything but marks.
    var keepMarksFirst = true
  }

  private func merges(_ vocabulary: Vocabulary) throws(TokenizerError) -> Merges {
    guard let list = document["model"]?["merges"]?.array else {
      throw .malformed(field: "model.merges", problem: "not an array")
    }
    var merges = Merges(table: MergeTable(count: list.count))
    for (rank, entry) in list.enumerated() {
      guard let (left, right) = Self.pair(entry) else {
        throw .malformed(
          field: "model.merges[\(rank)]", problem: "neither \"a b\" nor [\"a\", \"b\"]")
      }
      guard !left.isEmpty, !right.isEmpty else {
        throw .malformed(field: "model.merges[\(rank)]", problem: "an empty part merges forever")
      }
      let leftID = try part(left, rank, vocabulary)
      let rightID = try part(right, rank, vocabulary)
      let result = try part(left + right, rank, vocabulary)
      guard merges.table.insert(leftID, rightID, rank: rank, result: result) else {
        throw .malformed(field: "model.merges[\(rank)]", problem: "the pair occurs twice")
      }
      if merges.keepMarksFirst, right.utf8.starts(with: Self.mark), !Self.isMarks(left) {
        merges.keepMarksFirst = false
      }
    }
    return merges
  }

  private func part(
    _ token: String, _ rank: Int, _ vocabulary: Vocabulary
  ) throws(TokenizerError) -> Int32 {
    guard let id = vocabulary.id(of: token) else {
      throw .malformed(
        field: "model.merges[\(rank)]", problem: "\"\(token.oneLine)\" is not in the vocabulary")
    }
    return id
  }

  private static func isMarks(_ token: String) -> Bool {
    Array(token.utf8).replacing(mark, with: []).isEmpty
  }

  /// Both spellings of a merge.
  static func pair(_ entry: JSON) -> (String, String)? {
    if let text = entry.string {
      let parts = text.utf8.split(separator: 0x20, omittingEmptySubsequences: false)
      guard parts.count == 2, let left = String(parts[0]), let right = String(parts[1]) else {
        return nil
      }
      return (left, right)
    }
    guard let parts = entry.array, parts.count == 2, let left = parts[0].string,
      let right = parts[1].string
    else { return nil }
    return (left, right)
  }

  // MARK: Added tokens

  private func addedTokens(_ vocabulary: Vocabulary) throws(TokenizerError) -> [AddedToken] {
    guard let value = document["added_tokens"], !value.isNull else { return [] }
    guard let list = value.array else {
      throw .malformed(field: "added_tokens", problem: "not an array")
    }
    guard list.count <= Self.addedTokenLimit else {
      throw .malformed(
        field: "added_tokens",
        problem: "\(list.count) entries where at most \(Self.addedTokenLimit) are accepted")
    }
    var tokens: [AddedToken] = []
    var contents: Set<ByteString> = []
    var ids: Set<Int32> = []
    for (index, entry) in list.enumerated() {
      let token = try addedToken(entry, "added_tokens[\(index)]", vocabulary)
      guard contents.insert(ByteString(token.content)).inserted, ids.insert(token.id).inserted
      else {
        throw .malformed(
          field: "added_tokens[\(index)]",
          problem: "the content \"\(token.content.oneLine)\" or the id \(token.id) occurs twice")
      }
      tokens.append(token)
    }
    return tokens
  }

  private func addedToken(
    _ entry: JSON, _ field: String, _ vocabulary: Vocabulary
  ) throws(TokenizerError) -> AddedToken {
    guard let content = entry["content"]?.string, !content.isEmpty,
      content.utf8.count <= Self.addedContentLimit
    else {
      throw .malformed(
        field: field, problem: "the content is not a text of 1 to \(Self.addedContentLimit) bytes")
    }
    let id = Int32(try checkedID(entry["id"], field))
    let known = vocabulary.id(of: content)
    if let known, known != id {
      throw .malformed(
        field: field,
        problem: "\"\(content.oneLine)\" has id \(id) here and \(known) in the vocabulary")
    }
    if known == nil, vocabulary.isUsed(id) {
      throw .malformed(field: field, problem: "the id \(id) belongs to a token of the vocabulary")
    }
    var flags: [Bool] = []
    for name in ["single_word", "lstrip", "rstrip", "normalized", "special"] {
      switch entry[name] {
      case .bool(let flag): flags.append(flag)
      case nil: flags.append(false)
      default: throw .malformed(field: "\(field).\(name)", problem: "not a boolean")
      }
    }
    return AddedToken(
      id: id, content: content, singleWord: flags[0], stripsLeft: flags[1],
      stripsRight: flags[2], normalized: flags[3], special: flags[4])
  }
}
