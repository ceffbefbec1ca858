import Formats
import Testing

@testable import Workflows

@Suite struct YAMLTests {
  private func parse(_ text: String) throws -> JSON { try YAML.parse(text, path: "p.yaml") }

  @Test func plainScalars() throws {
    let object = try parse(
      """
      integer: 12
      rate: 1.5e-3
      small: 2e-5
      yes: true
      nothing: ~
      empty:
      words: {run}
      version: 1.2.3
      hexadecimal: 0x10
      switch: on
      quoted: "12"
      single: 'true'
      """.replacing("{run}", with: "\"{run}/data\""))
    #expect(object["integer"] == 12)
    #expect(object["rate"]?.double == 1.5e-3)
    #expect(object["small"]?.double == 2e-5)
    #expect(object["yes"] == true)
    #expect(object["nothing"]?.isNull == true && object["empty"]?.isNull == true)
    #expect(object["words"] == "{run}/data")
    #expect(object["version"] == "1.2.3")
    #expect(object["hexadecimal"] == "0x10")
    #expect(object["switch"] == "on")
    #expect(object["quoted"] == "12")
    #expect(object["single"] == "true")
  }

  @Test func nestingKeepsOrder() throws {
    let json = try parse("b: [1, {x: y, a: [2]}]\na: {}\n")
    #expect(json.serialized() == #"{"b":[1,{"x":"y","a":[2]}],"a":{}}"#)
    #expect(try parse("") == .object(JSONObject()))
  }

  @Test(arguments: [
    "a: [1", "a: 1\n b: 2", "a: 1\na: 2", "? [1]\n: 2", "a: *unknown", "\t- x: [", "a: \"\\q\"",
  ])
  func damagedTextIsOneLineWithThePath(text: String) throws {
    let error = #expect(throws: WorkflowError.self) { try parse(text) }
    #expect(error?.description.hasPrefix("p.yaml:") == true)
    #expect(error?.description.contains("\n") == false)
  }
}
