/// How the answer is read out of a written solution: the two filters of lm-evaluation-harness's
/// GSM8K.
enum AnswerFilter: String, CaseIterable {
  /// The number behind the first `#### `.
  case strict = "strict-match"
  /// The last number.
  case flexible = "flexible-extract"

  /// What stands for no answer.
  static let invalid = "[invalid]"

  /// The answer in `solution`.
  func answer(in solution: String) -> String {
    let text = Array(solution.unicodeScalars)
    let found =
      switch self {
      case .strict: Self.markedNumber(text)
      case .flexible: Self.lastNumber(text)
      }
    return found.map { String(String.UnicodeScalarView(text[$0])) } ?? Self.invalid
  }

  /// `#### (\-?[0-9\.\,]+)`, the first match's group.
  private static func markedNumber(_ text: [Unicode.Scalar]) -> Range<Int>? {
    let mark = Array("#### ".unicodeScalars)
    for start in text.indices where text[start...].starts(with: mark) {
      let number = start + mark.count
      let digits = number + (text.dropFirst(number).first == "-" ? 1 : 0)
      let end = text[digits...].firstIndex { !isDigit($0) && $0 != "." && $0 != "," } ?? text.count
      if end > digits { return number..<end }
    }
    return nil
  }

  /// `(-?[$0-9.,]{2,})|(-?[0-9]+)`, the last match.
  private static func lastNumber(_ text: [Unicode.Scalar]) -> Range<Int>? {
    var (found, start): (Range<Int>?, Int) = (nil, 0)
    while start < text.count {
      let digits = start + (text[start] == "-" ? 1 : 0)
      let end = text[digits...].firstIndex { !isPartOfNumber($0) } ?? text.count
      if end - digits >= 2 || (end - digits == 1 && isDigit(text[digits])) {
        found = start..<end
        start = end
      } else {
        start += 1
      }
    }
    return found
  }

  /// Whether an answer is the reference: case, commas, dollar signs, what stands before the last
  /// `#### ` and a final full stop make no difference.
  static func isMatch(_ given: String, _ expected: String) -> Bool {
    bare(given) == bare(expected)
  }

  private static func bare(_ text: String) -> String {
    var scalars = Array(text.unicodeScalars).filter { $0 != "," && $0 != "$" }
    let mark = Array("#### ".unicodeScalars)
    let start = scalars.indices.last { scalars[$0...].starts(with: mark) }
    if let start { scalars.removeFirst(start + mark.count) }
    // A final newline does not hide the full stop before it.
    let last = scalars.last == "\n" ? scalars.count - 2 : scalars.count - 1
    if last >= 0, scalars[last] == "." { scalars.remove(at: last) }
    return String(String.UnicodeScalarView(scalars)).lowercased()
  }

  private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }

  private static func isPartOfNumber(_ scalar: Unicode.Scalar) -> Bool {
    isDigit(scalar) || scalar == "$" || scalar == "." || scalar == ","
  }
}
