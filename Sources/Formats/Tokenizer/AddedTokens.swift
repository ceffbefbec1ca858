/// A token matched in the text itself, before the model sees what lies between.
struct AddedToken: Equatable, Sendable {
  var id: Int32
  var content: String
  /// Matches only between characters that are not part of a word.
  var singleWord = false
  /// Swallows the white space before it.
  var stripsLeft = false
  /// Swallows the white space behind it.
  var stripsRight = false
  /// Is looked for in the text after normalization, with its content normalized as well.
  var normalized = false
  /// Is left out of decoded text on demand.
  var special = false
}

/// Finds added tokens in text: leftmost first, longest among those that start at one place.
struct AddedTokenMatcher: Sendable {
  /// A span of the text, and the token that stands there, if any.
  typealias Span = (range: Range<Int>, token: AddedToken?)

  private var tokens: [AddedToken] = []
  /// The trie's children, by node and byte; node 0 is the root.
  private var children: [UInt64: Int32] = [:]
  private var firstBytes = [Bool](repeating: false, count: 256)
  /// For each node the token that ends there, -1 for none.
  private var ends: [Int32] = [-1]

  var isEmpty: Bool { tokens.isEmpty }

  /// - Parameter patterns: each token with the bytes to look for; of equal ones the first counts.
  init(_ patterns: [(token: AddedToken, bytes: [UInt8])]) {
    for (token, bytes) in patterns where !bytes.isEmpty {
      var node: Int32 = 0
      for byte in bytes {
        let key = Self.key(node, byte)
        if let child = children[key] {
          node = child
        } else {
          children[key] = Int32(ends.count)
          node = Int32(ends.count)
          ends.append(-1)
        }
      }
      guard ends[Int(node)] < 0 else { continue }
      ends[Int(node)] = Int32(tokens.count)
      tokens.append(token)
      firstBytes[Int(bytes[0])] = true
    }
  }

  private static func key(_ node: Int32, _ byte: UInt8) -> UInt64 {
    UInt64(UInt32(bitPattern: node)) << 8 | UInt64(byte)
  }

  /// Splits the text into spans in order, empty ones left out.
  ///
  /// - Parameter matchingSpecial: whether special tokens count; otherwise their text is ordinary.
  func split(
    _ text: UnsafeBufferPointer<UInt8>, matchingSpecial: Bool, _ body: (Span) -> Void
  ) {
    var spanStart = 0
    var position = 0
    while let (found, token) = firstMatch(in: text, from: position) {
      position = found.upperBound
      if token.special && !matchingSpecial { continue }
      if token.singleWord, touchesWord(found, in: text) { continue }
      var (start, end) = (found.lowerBound, found.upperBound)
      if token.stripsLeft { start = max(text.startOfSpaces(before: start), spanStart) }
      if token.stripsRight { end = text.endOfSpaces(from: end) }
      if spanStart < start { body((spanStart..<start, nil)) }
      body((min(start, end)..<end, token))
      spanStart = end
    }
    if spanStart < text.count { body((spanStart..<text.count, nil)) }
  }

  private func firstMatch(
    in text: UnsafeBufferPointer<UInt8>, from position: Int
  ) -> (Range<Int>, AddedToken)? {
    guard !tokens.isEmpty else { return nil }
    return firstBytes.withUnsafeBufferPointer { firstBytes in
      var start = position
      while start < text.count {
        if firstBytes[Int(text[start])], let match = longestMatch(in: text, at: start) {
          return match
        }
        start += 1
      }
      return nil
    }
  }

  private func longestMatch(
    in text: UnsafeBufferPointer<UInt8>, at start: Int
  ) -> (Range<Int>, AddedToken)? {
    var node: Int32 = 0
    var match: (end: Int, token: Int32)?
    var index = start
    while index < text.count, let child = children[Self.key(node, text[index])] {
      node = child
      index += 1
      if ends[Int(node)] >= 0 { match = (index, ends[Int(node)]) }
    }
    guard let match else { return nil }
    return (start..<match.end, tokens[Int(match.token)])
  }

  private func touchesWord(_ range: Range<Int>, in text: UnsafeBufferPointer<UInt8>) -> Bool {
    text.scalar(before: range.lowerBound)?.isWordScalar ?? false
      || text.scalar(at: range.upperBound)?.isWordScalar ?? false
  }
}

extension Unicode.Scalar {
  /// Whether the scalar is in \w of UTS #18: alphabetic, mark, decimal number, connector
  /// punctuation or join control.
  fileprivate var isWordScalar: Bool {
    if properties.isAlphabetic || properties.isJoinControl { return true }
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation:
      return true
    default: return false
    }
  }
}

/// Walks over valid UTF-8 in either direction.
extension UnsafeBufferPointer<UInt8> {
  fileprivate func scalar(at index: Int) -> Unicode.Scalar? {
    guard index < count else { return nil }
    var end = index + 1
    while end < count, self[end] & 0xC0 == 0x80 { end += 1 }
    return String(decoding: self[index..<end], as: UTF8.self).unicodeScalars.first
  }

  fileprivate func scalar(before index: Int) -> Unicode.Scalar? {
    guard index > 0 else { return nil }
    return scalar(at: startOfScalar(before: index))
  }

  private func startOfScalar(before index: Int) -> Int {
    var start = index - 1
    while start > 0, self[start] & 0xC0 == 0x80 { start -= 1 }
    return start
  }

  fileprivate func startOfSpaces(before index: Int) -> Int {
    var index = index
    while index > 0, scalar(before: index)?.properties.isWhitespace ?? false {
      index = startOfScalar(before: index)
    }
    return index
  }

  fileprivate func endOfSpaces(from index: Int) -> Int {
    var index = index
    while let scalar = scalar(at: index), scalar.properties.isWhitespace {
      index += scalar.utf8.count
    }
    return index
  }
}
