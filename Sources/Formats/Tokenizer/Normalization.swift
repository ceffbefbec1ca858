@_spi(_Unicode) import Swift

/// One step of the text normalization ahead of the model.
enum NormalizationStep: Equatable, Sendable {
  /// Unicode canonical composition.
  case canonicalComposition
  /// Puts bytes before a text that is not empty.
  case prepend([UInt8])
  /// Replaces every occurrence of a byte string that is not empty.
  case replace([UInt8], with: [UInt8])

  func apply(to text: inout [UInt8]) {
    switch self {
    case .canonicalComposition:
      if Self.mayCompose(text) {
        var composed: [UInt8] = []
        composed.reserveCapacity(text.count)
        for scalar in String(decoding: text, as: UTF8.self)._nfc {
          composed.append(contentsOf: scalar.utf8)
        }
        text = composed
      }
    case .prepend(let prefix):
      if !text.isEmpty { text.insert(contentsOf: prefix, at: 0) }
    case .replace(let pattern, let replacement):
      text = text.replacing(pattern, with: replacement)
    }
  }

  /// Whether composition could change the text. Scalars below U+0300 (lead bytes below 0xCC) and
  /// U+4000 to U+9FFF (lead bytes 0xE4 to 0xE9) are stable and combine with nothing before them.
  private static func mayCompose(_ text: [UInt8]) -> Bool {
    text.contains { $0 >= 0xCC && !(0xE4...0xE9).contains($0) }
  }
}

extension [UInt8] {
  /// The bytes with every occurrence of `pattern`, found from left to right, replaced.
  func replacing(_ pattern: [UInt8], with replacement: [UInt8]) -> [UInt8] {
    guard let first = pattern.first else { return self }
    var result: [UInt8] = []
    result.reserveCapacity(count + count / 4)
    var index = 0
    while index < count {
      if self[index] == first, index + pattern.count <= count,
        self[index..<index + pattern.count].elementsEqual(pattern)
      {
        result.append(contentsOf: replacement)
        index += pattern.count
      } else {
        result.append(self[index])
        index += 1
      }
    }
    return result
  }
}
