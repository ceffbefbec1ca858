import Numerics
import Testing

@Suite struct SequenceLayoutTests {
  @Test func positionsRestartInEveryDocument() throws {
    let context = try Context()
    let layout = SequenceLayout(documentLengths: [3, 0, 2, 1], in: context)
    #expect(layout.count == 6)
    #expect(context.readIntegers(layout.positions_T) == [0, 1, 2, 0, 1, 0])
    #expect(context.readIntegers(layout.documentStarts_T) == [0, 0, 0, 3, 3, 5])
  }

  @Test func cachedTokensComeFirst() throws {
    let context = try Context()
    let layout = SequenceLayout(count: 2, offset: 7, in: context)
    #expect(context.readIntegers(layout.positions_T) == [7, 8])
    #expect(context.readIntegers(layout.documentStarts_T) == [0, 0])
  }
}
