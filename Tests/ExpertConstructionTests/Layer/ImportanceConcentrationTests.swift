import Formats
import Testing

@testable import ExpertConstruction

@Suite struct ImportanceConcentrationTests {
  @Test func sharesOfTheLargest() {
    // 100 neurons: one holds 10, nine hold 2 each, the others 0.8 each.
    let importance = [Float](repeating: 0.8, count: 90) + [10] + [Float](repeating: 2, count: 9)
    let found = ImportanceConcentration(layer: 3, importance: importance)
    let expected = [0.1, 0.28, 0.28 + 15 * 0.008, 0.28 + 40 * 0.008]
    for (share, wanted) in zip(found.shares, expected) { #expect(abs(share - wanted) < 1e-6) }
    #expect(found.json["layer"] == 3)
    #expect(found.json.object?.keys == ["layer", "top_1", "top_10", "top_25", "top_50"])
    // Few neurons, or none that matters.
    #expect(ImportanceConcentration(layer: 0, importance: [1, 3]).shares[0] == 0.75)
    #expect(ImportanceConcentration(layer: 0, importance: [0, 0]).shares == [0, 0, 0, 0])
  }
}
