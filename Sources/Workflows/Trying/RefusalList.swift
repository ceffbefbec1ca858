/// Reasons with letters, in the order in which tables name them.
struct RefusalList {
  /// Every reason once.
  private(set) var reasons: [String] = []

  /// The letter of a reason, in parentheses: (a) to (z), then (aa).
  mutating func letter(_ reason: String) -> String {
    let index = reasons.firstIndex(of: reason) ?? reasons.count
    if index == reasons.count { reasons.append(reason) }
    return "(\(Self.letters(index)))"
  }

  /// Letters and reasons.
  var list: [(name: String, value: String)] {
    reasons.enumerated().map { ("(\(Self.letters($0)))", $1) }
  }

  private static func letters(_ index: Int) -> String {
    let last = String(UnicodeScalar(UInt8(ascii: "a") + UInt8(index % 26)))
    return index < 26 ? last : letters(index / 26 - 1) + last
  }
}
