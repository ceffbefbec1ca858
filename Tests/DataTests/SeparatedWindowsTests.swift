import Data
import Testing

@Suite struct SeparatedWindowsTests {
  @Test func recordsAttendToThemselvesAndAreScoredWhereTheyBegin() {
    var stream = TokenStream(domain: "d")
    for length in [3, 4, 5] {
      stream.append(
        ids: (0..<Int32(length)).map { $0 + 10 * Int32(length) },
        lossMask: [UInt8](repeating: 1, count: length))
    }
    let windows = EvaluationWindows(stream, length: 5, limit: 2, separatesDocuments: true)
    let batch = windows.batch(0..<2)
    // Records begin at 0, 3 and 7; the second window starts inside the second record.
    #expect(batch.documentStarts == [0, 0, 0, 3, 3, 5, 5, 7, 7, 7])
    #expect(batch.positions == [0, 1, 2, 0, 1, 0, 1, 0, 1, 2])
    // Targets of another record and of the cut record carry no weight.
    #expect(batch.lossWeights == [1, 1, 0, 1, 1, 0, 0, 1, 1, 1])
    #expect(batch.followedMask == batch.lossWeights)
    #expect(windows.batch(0..<1).tokens == EvaluationWindows(stream, length: 5).batch(0..<1).tokens)
  }
}
