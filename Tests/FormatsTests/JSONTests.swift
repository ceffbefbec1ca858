import Formats
import TestSupport
import Testing

@Suite struct JSONTests {
  @Test func writesTheHuggingFaceLayout() {
    let json: JSON = [
      "model_type": "llama", "eps": 1e-05, "theta": 500000.0, "jitter": 0.0, "heads": 8,
      "eos": [1, 2], "rope": nil, "empty": [:], "none": [], "tied": true,
    ]
    let expected = """
      {
        "model_type": "llama",
        "eps": 1e-05,
        "theta": 500000.0,
        "jitter": 0.0,
        "heads": 8,
        "eos": [
          1,
          2
        ],
        "rope": null,
        "empty": {},
        "none": [],
        "tied": true
      }
      """
    #expect(json.serialized(indent: 2) == expected)
  }

  @Test func sortsKeysByBytes() {
    let json: JSON = ["b": 1, "a": ["z": 1, "Z": 2], "\u{e9}": 3, "B": 4]
    #expect(
      json.serialized(sortedKeys: true) == "{\"B\":4,\"a\":{\"Z\":2,\"z\":1},\"b\":1,\"é\":3}")
  }

  @Test func tellsIntegersFromDecimals() throws {
    let json = try JSON.parse("[8, 8.0, 8e0, -0, 1e400, 9223372036854775808]")
    let values = try #require(json.array)
    #expect(values.map(\.int) == [8, nil, nil, 0, nil, nil])
    #expect(values.map(\.double) == [8, 8, 8, 0, nil, 9223372036854775808])
  }

  @Test func spellsDoublesAsDecimals() throws {
    var random = SeededGenerator(seed: 3)
    for _ in 0..<2000 {
      let value = Double(bitPattern: .random(in: 0 ... .max, using: &random))
      guard value.isFinite else { continue }
      let number = JSONNumber(value)
      #expect(!number.isInteger)
      #expect(try JSON.parse(number.lexeme).double == value)
    }
    #expect(JSON(Double.nan).isNull)
    #expect(JSON(Double.infinity).isNull)
  }

  @Test func acceptsLexemesOfTheGrammarOnly() {
    for good in ["0", "-0", "1.50", "1e5", "10"] {
      #expect(JSONNumber(lexeme: good)?.lexeme == good)
    }
    for bad in ["", "-", "01", "1.", "a", "1 ", "+1", "1e"] {
      #expect(JSONNumber(lexeme: bad) == nil)
    }
  }

  @Test func editsObjectsInOrder() {
    for count in [3, 30] {
      var object = JSONObject()
      for index in 0..<count { object["k\(index)"] = JSON(index) }
      object["k1"] = "changed"
      object["k0"] = nil
      object["new"] = true
      object["absent"] = nil
      #expect(object.keys == (1..<count).map { "k\($0)" } + ["new"])
      #expect(object["k1"] == "changed")
      #expect(object["k2"]?.int == 2)
      #expect(object["k0"] == nil)
      #expect(object.count == count)
    }
  }

  @Test func copiesOfObjectsAreIndependent() {
    var object = JSONObject()
    for index in 0..<20 { object["k\(index)"] = JSON(index) }
    var copy = object
    copy["k20"] = 20
    copy["k3"] = nil
    #expect(object.count == 20)
    #expect(object["k20"] == nil)
    #expect(object["k3"] == 3)
    #expect(copy["k19"] == 19)
  }

  @Test func suggestsNearbyNames() {
    let names = ["num_hidden_layers", "hidden_size", "rope_theta"]
    #expect(nearestName(to: "hiden_size", in: names) == "hidden_size")
    #expect(nearestName(to: "rope_tehta", in: names) == "rope_theta")
    #expect(nearestName(to: "HIDDEN_SIZE", in: names) == "hidden_size")
    #expect(nearestName(to: "vocabulary", in: names) == nil)
    #expect(nearestName(to: "", in: [""]) == "")
    #expect(nearestName(to: "x", in: []) == nil)
  }
}
