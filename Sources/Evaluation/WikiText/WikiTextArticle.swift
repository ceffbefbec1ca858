/// One article of a WikiText file.
struct WikiTextArticle: Equatable {
  /// The lines as the file has them, joined by newlines.
  let text: String

  /// The articles of a file: each begins at a heading of the first level, ` = Title = `.
  static func articles(in text: String) -> [WikiTextArticle] {
    var articles: [WikiTextArticle] = []
    var lines: [Substring] = []
    func close() {
      let text = lines.joined(separator: "\n")
      if !text.allSatisfy(\.isWhitespace) { articles.append(WikiTextArticle(text: text)) }
      lines = []
    }
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if isTitle(line) { close() }
      lines.append(line)
    }
    close()
    return articles
  }

  private static func isTitle(_ line: Substring) -> Bool {
    let words = line.split(separator: " ")
    return words.count > 2 && words.first == "=" && words.last == "=" && words[1] != "="
      && words[words.count - 2] != "="
  }

  /// The text as prose: WikiText's spaced-out punctuation put back, by the harness's rules.
  ///
  /// Its rule for an apostrophe between slashes is left out: it never applies to WikiText.
  var detokenized: String {
    var bytes = Array(text.utf8)
    func replace(_ rules: [(String, String)]) {
      for (pattern, replacement) in rules {
        bytes = bytes.replacing(Array(pattern.utf8), with: Array(replacement.utf8))
      }
    }
    replace([("s '", "s'"), (" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", ".")])
    replace([":", ";", ".", "!", "?", ","].map { (" \($0) ", "\($0) ") })
    for (open, close) in [("(", ")"), ("[", "]"), ("{", "}"), ("\"", "\""), ("'", "'")] {
      bytes = Self.trimming(bytes, between: Array(open.utf8)[0], and: Array(close.utf8)[0])
    }
    replace([
      ("= = = =", "===="), ("= = =", "==="), ("= =", "=="), (" \u{B0} ", "\u{B0}"), (" \n", "\n"),
      ("\n ", "\n"), (" N ", " 1 "), (" 's", "'s"),
    ])
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Removes white space inside each pair of marks; a mark without partner stays as it is.
  private static func trimming(_ bytes: [UInt8], between open: UInt8, and close: UInt8) -> [UInt8] {
    func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var cursor = 0
    while let start = bytes[cursor...].firstIndex(of: open),
      let end = bytes[(start + 1)...].firstIndex(of: close)
    {
      result += bytes[cursor...start]
      let inner = bytes[start + 1..<end].drop(while: isSpace)
      if let last = inner.lastIndex(where: { !isSpace($0) }) { result += inner[...last] }
      result.append(close)
      cursor = end + 1
    }
    return result + bytes[cursor...]
  }
}
