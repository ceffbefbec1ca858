import Formats
import TestSupport
import Testing

@Suite struct JSONParserTests {
  @Test(arguments: [
    "", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}", "{,}",
    "{a:1}", "{'a':1}", "{1:1}", "[1 2]", "{\"a\" 1}", "tru", "True", "nul", "nan", "NaN",
    "Infinity", "-", "+1", "01", "-01", "1.", ".5", "1.e3", "1e", "1e+", "0x1", "1_000", "--1",
    "\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\t\"", "\"\n\"", "\"\0\"",
    "1 2", "{} {}", "[]]", "// c\n1", "/* c */1", "\u{feff}1", "[1,,2]", "\u{a0}1",
  ])
  func refusesWhatTheGrammarDoes(text: String) {
    #expect(throws: JSONError.self) { try JSON.parse(text) }
  }

  @Test(arguments: [
    "0", "-0", "0.0", "1e5", "1E+5", "-1.25e-7", "123456789012345678901234567890", "true", "null",
    "\"\"", "[]", "{}", "[[],{}]", "{\"\":0}", "[1,2.0,\"x\",null,true,false]", "\"\u{1f600}é\"",
  ])
  func keepsEverySpelling(text: String) throws {
    #expect(try JSON.parse(text).serialized() == text)
  }

  @Test func readsWhitespaceAndEscapes() throws {
    let json = try JSON.parse(
      " \r\n\t{ \"a\\/\\u0041\" : \"\\b\\f\\n\\r\\t\\\"\\\\\\ud83d\\uDE00\" } ")
    #expect(json["a/A"]?.string == "\u{8}\u{c}\n\r\t\"\\\u{1f600}")
  }

  @Test(arguments: [
    "\\ud800", "\\udc00", "\\ud800x", "\\ud800\\n", "\\ud800\\ud800", "\\udc00\\ud800",
  ])
  func refusesLoneSurrogates(escape: String) {
    let error = #expect(throws: JSONError.self) { try JSON.parse("[\"\(escape)\"]") }
    #expect(error?.reason == .loneSurrogate)
  }

  @Test(
    arguments: [
      [0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82],
      [0x61, 0x80],
    ] as [[UInt8]])
  func refusesInvalidUTF8(bytes: [UInt8]) {
    for text in [[0x22] + bytes + [0x22], [0x22, 0x5c, 0x6e] + bytes + [0x22]] {
      let error = #expect(throws: JSONError.self) { try JSON.parse(text) }
      #expect(error?.reason == .invalidUTF8)
    }
  }

  @Test func refusesDuplicateKeysOfSmallAndLargeObjects() {
    for count in [1, 8, 9, 40] {
      let members = (0..<count).map { "\"k\($0)\":0" } + ["\"k0\":1"]
      let error = #expect(throws: JSONError.self) {
        try JSON.parse("{" + members.joined(separator: ",") + "}")
      }
      #expect(error?.reason == .duplicateKey("k0"))
    }
    let escaped = #expect(throws: JSONError.self) { try JSON.parse("{\"a\":1,\"\\u0061\":2}") }
    #expect(escaped?.reason == .duplicateKey("a"))
  }

  @Test func keepsCanonicallyEquivalentKeysApart() throws {
    let json = try JSON.parse("{\"\u{e9}\":1,\"e\u{301}\":2}")
    #expect(json["\u{e9}"]?.int == 1)
    #expect(json["e\u{301}"]?.int == 2)
    #expect(JSON.string("\u{e9}") != JSON.string("e\u{301}"))
  }

  @Test func holdsItsLimits() throws {
    let deep = String(repeating: "[", count: 128) + String(repeating: "]", count: 128)
    _ = try JSON.parse(deep)
    #expect(throws: JSONError.self) { try JSON.parse("[" + deep + "]") }
    #expect(throws: JSONError.self) { try JSON.parse(String(repeating: "{\"a\":", count: 200_000)) }
    let small = JSONLimits(maximumBytes: 8, maximumDepth: 2, maximumValues: 3)
    _ = try JSON.parse("[1,2]", limits: small)
    #expect(throws: JSONError.self) { try JSON.parse("[1,2,3]", limits: small) }
    #expect(throws: JSONError.self) { try JSON.parse("        1", limits: small) }
    #expect(throws: JSONError.self) { try JSON.parse("[[[]]]", limits: small) }
  }

  @Test func saysWhereAndHow() {
    let error = #expect(throws: JSONError.self) { try JSON.parse("{\n  \"a\": 1,\n  \"b\" 2\n}") }
    #expect(error?.line == 3)
    #expect(error?.column == 7)
    #expect(error?.offset == 18)
    #expect(error?.description == "3:7: found `2` where `:` was expected; write `:` here")
  }

  @Test func errorsStayOnOneLine() {
    let error = #expect(throws: JSONError.self) { try JSON.parse("{\"\\n\":1,\"\\n\":2}") }
    #expect(error?.description.contains("\n") == false)
  }

  @Test func roundTripsRandomTrees() throws {
    var random = SeededGenerator(seed: 11)
    for _ in 0..<300 {
      let json = randomJSON(depth: 4, &random)
      for indent in [nil, 2] {
        for escaping in [false, true] {
          let text = json.serialized(indent: indent, escapingNonASCII: escaping)
          #expect(try JSON.parse(text) == json)
          #expect(!escaping || text.utf8.allSatisfy { $0 < 0x80 })
        }
      }
    }
  }

  private func randomJSON(depth: Int, _ random: inout SeededGenerator) -> JSON {
    switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &random) {
    case 0: return nil
    case 1: return JSON(Bool.random(using: &random))
    case 2: return JSON(Int.random(in: .min ... .max, using: &random))
    case 3: return JSON(Double(bitPattern: .random(in: 0 ... .max, using: &random)))
    case 4, 5: return .string(randomString(&random))
    case 6:
      return .array(
        (0..<Int.random(in: 0..<5, using: &random)).map { _ in
          randomJSON(depth: depth - 1, &random)
        })
    default:
      var object = JSONObject()
      for _ in 0..<Int.random(in: 0..<14, using: &random) {
        object[randomString(&random)] = randomJSON(depth: depth - 1, &random)
      }
      return .object(object)
    }
  }

  private func randomString(_ random: inout SeededGenerator) -> String {
    let alphabet = Array("abc \"\\/\n\t\u{1}\u{7f}é\u{301}Ġ\u{1f600}\u{ffff}".unicodeScalars)
    var text = ""
    for _ in 0..<Int.random(in: 0..<20, using: &random) {
      text.unicodeScalars.append(alphabet[Int.random(in: 0..<alphabet.count, using: &random)])
    }
    return text
  }
}
