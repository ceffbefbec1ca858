import Formats

/// Turns corpus files into token streams.
public struct TokenStreamBuilder: Sendable {
  /// The tokenizer whose ids the streams hold.
  public let tokenizer: Tokenizer
  /// How conversations are rendered; `nil` for corpora of plain text only.
  public let renderer: ChatRenderer?

  /// - Parameter format: how conversations are written; `nil` makes one an error.
  public init(tokenizer: Tokenizer, format: ChatFormat?) throws(ChatError) {
    self.tokenizer = tokenizer
    if let format {
      renderer = try ChatRenderer(format: format, tokenizer: tokenizer)
    } else {
      renderer = nil
    }
  }

  /// The records of several files of one domain, in order.
  ///
  /// - Parameters:
  ///   - domain: the stream's name; by default the domain of the first file.
  ///   - tokenLimit: reading stops at the first record that brings the stream to this many tokens.
  public func stream(
    files: [String], domain: String? = nil, tokenLimit: Int = .max
  ) throws(RecordError) -> TokenStream {
    var stream = TokenStream(domain: domain ?? files.first.map(TokenStream.domain) ?? "")
    for file in files {
      let reader = try RecordReader(path: file)
      while stream.ids.count < tokenLimit, let record = try reader.next() {
        let (ids, mask) = try tokens(of: record, file: file, line: reader.line)
        stream.append(ids: ids, lossMask: mask)
      }
    }
    return stream
  }

  /// One stream per domain, in the order in which the domains first occur among the files.
  public func streams(
    files: [String], tokenLimit: Int = .max
  ) throws(RecordError) -> [TokenStream] {
    var order: [String] = []
    var groups: [String: [String]] = [:]
    for file in files {
      let domain = TokenStream.domain(of: file)
      if groups[domain] == nil { order.append(domain) }
      groups[domain, default: []].append(file)
    }
    var streams: [TokenStream] = []
    for domain in order {
      streams.append(
        try stream(files: groups[domain] ?? [], domain: domain, tokenLimit: tokenLimit))
    }
    return streams
  }

  /// The ids of a record and what of them is learnt: the assistant's turns, or all of a plain text
  /// but the tokens that the tokenizer puts before it.
  private func tokens(
    of record: Record, file: String, line: Int
  ) throws(RecordError) -> (ids: [Int32], mask: [UInt8]) {
    let line = line == 0 ? nil : line
    if case .text(let text) = record {
      let body = tokenizer.encode(text, addSpecialTokens: false, matchingSpecialTokens: false)
      let (before, after) = (tokenizer.prefixTokens, tokenizer.suffixTokens)
      let mask =
        [UInt8](repeating: 0, count: before.count) + [UInt8](repeating: 1, count: body.count)
        + [UInt8](repeating: 1, count: after.count)
      return (before + body + after, mask)
    }
    guard let renderer else {
      throw RecordError(
        file: file, line: line, "a conversation, but no chat format is known; give --chat-format")
    }
    do {
      let chat = try renderer.render(record.conversation ?? [])
      return (chat.ids, chat.lossMask)
    } catch {
      throw RecordError(file: file, line: line, "\(error)")
    }
  }
}
