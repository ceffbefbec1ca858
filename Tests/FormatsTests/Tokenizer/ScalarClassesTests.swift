import Testing

@testable import Formats

@Suite struct ScalarClassesTests {
  /// Every scalar of Unicode 16, the version of the table, has the class that its properties say.
  @Test func agreesWithUnicodeProperties() {
    let classes = ScalarClasses.shared
    var differing: [Unicode.Scalar] = []
    // Every 7th scalar is enough to notice a shifted range and keeps the test short.
    for value in stride(from: 0 as UInt32, to: 0x3_4000, by: 7) {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let found = Int(value) < classes.count ? classes.table[Int(value)] : ScalarClasses.other
      let expected: UInt8 =
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
          ScalarClasses.letter
        case .decimalNumber, .letterNumber, .otherNumber: ScalarClasses.number
        default: scalar.properties.isWhitespace ? ScalarClasses.space : ScalarClasses.other
        }
      let age = scalar.properties.age?.major ?? .max
      if found & 7 != expected, age <= 16 { differing.append(scalar) }
    }
    #expect(differing.isEmpty)
    #expect(classes.table[0x0A] == ScalarClasses.space | ScalarClasses.newline)
  }

  /// The contractions of the case-insensitive pattern, with U+017F for s and without U+0130.
  @Test func contractions() throws {
    func pieces(_ text: String, _ pattern: SplitPattern) -> [String] {
      let bytes = Array(text.utf8)
      return bytes.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return [] }
        let classified = ClassifiedText(base, count: buffer.count)
        var result: [String] = []
        var start = 0
        while start < buffer.count {
          let end = pattern.endOfPiece(from: start, in: classified)
          result.append(String(decoding: buffer[start..<end], as: UTF8.self))
          start = end
        }
        return result
      }
    }
    #expect(
      pieces("it'S we'LL x'\u{17F}y", .llama3)
        == ["it", "'S", " we", "'LL", " x", "'\u{17F}", "y"])
    #expect(pieces("it'S", .gpt2) == ["it", "'", "S"])
    #expect(pieces("a1234 \n b", .llama3) == ["a", "123", "4", " \n", " b"])
    #expect(pieces("a12   b", .qwen2) == ["a", "1", "2", "  ", " b"])
  }
}
