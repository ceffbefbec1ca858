import Formats
import Testing

@Suite struct DifferingKeysTests {
  private let settings: JSONObject = [
    "name": "a", "losses": ["distillation": 1, "z": .null],
    "stages": [["tokens": 5], ["tokens": 6]],
  ]

  @Test func equalSettingsInAnyOrder() {
    let other: JSONObject = [
      "stages": [["tokens": 5], ["tokens": 6]], "losses": ["z": .null, "distillation": 1],
      "name": "a",
    ]
    #expect(differingKeys(settings, other).isEmpty)
  }

  @Test func changedAddedAndRemovedKeysAreNamed() {
    var other = settings
    other["losses"] = ["distillation": 2, "z": .null]
    other["stages"] = [["tokens": 5], ["tokens": 7, "clip": 1]]
    other["name"] = nil
    other["seed"] = 3
    #expect(
      differingKeys(settings, other)
        == ["name", "losses.distillation", "stages[1].tokens", "stages[1].clip", "seed"])
  }

  @Test func anotherKindOrLengthIsOneDifference() {
    var other = settings
    other["losses"] = 3
    other["stages"] = [["tokens": 5]]
    #expect(differingKeys(settings, other) == ["losses", "stages"])
  }

  @Test func spellingOfANumberIsNoDifference() throws {
    let old: JSONObject = ["rate": try JSON.parse(Array("1.5e-3".utf8)), "steps": 1]
    let new: JSONObject = ["rate": 0.0015, "steps": 1.0]
    #expect(differingKeys(old, new).isEmpty)
  }
}
