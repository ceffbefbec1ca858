import TestSupport
import Testing

@testable import Formats

@Suite struct MergeScratchTests {
  /// Short and long pieces merge as the definition says: lowest rank first, leftmost among equals.
  @Test func equalsDefinition() {
    var random = SeededGenerator(seed: 5)
    for _ in 0..<200 {
      let symbols = Int32.random(in: 2...4, using: &random)
      var merges: [(left: Int32, right: Int32)] = []
      let table = MergeTable(count: 40)
      for _ in 0..<40 {
        let known = symbols + Int32(merges.count)
        let left = Int32.random(in: 0..<known, using: &random)
        let pair = (left, Int32.random(in: 0..<known, using: &random))
        if table.insert(pair.0, pair.1, rank: merges.count, result: known) { merges.append(pair) }
      }
      let count = Int.random(in: 1...120, using: &random)
      let piece = (0..<count).map { _ in Int32.random(in: 0..<symbols, using: &random) }
      let scratch = MergeScratch()
      for symbol in piece { scratch.append(symbol, length: 1) }
      scratch.mergeAll(table)
      let merged = (0..<scratch.count).map { scratch.ids[$0] }
      #expect(merged == Self.merged(piece, merges, symbols))
      let covered = (0..<scratch.count).map { Int(scratch.lengths[$0]) }.reduce(0, +)
      #expect(covered == count)
    }
  }

  private static func merged(
    _ piece: [Int32], _ merges: [(left: Int32, right: Int32)], _ symbols: Int32
  ) -> [Int32] {
    var piece = piece
    while true {
      var best: (rank: Int, place: Int)?
      for place in piece.indices.dropLast() {
        let rank = merges.firstIndex { $0 == (piece[place], piece[place + 1]) }
        if let rank, rank < best?.rank ?? .max { best = (rank, place) }
      }
      guard let best else { return piece }
      piece[best.place] = symbols + Int32(best.rank)
      piece.remove(at: best.place + 1)
    }
  }

  /// A cache too small for its keys still answers with what was put in.
  @Test func wordCacheNeverLies() {
    let cache = WordCache()
    var random = SeededGenerator(seed: 9)
    var hits = 0
    for round in 0..<2 {
      for word in 0..<20_000 {
        let bytes = Array("w\(word % 9000)".utf8)
        let key = WordCache.Key(bytes, count: bytes.count)
        let expected = (0..<(word % 9000) % 7).map { Int32($0 * 3 + word % 9000) }
        var ids = ContiguousArray<Int32>()
        if cache.append(key, to: &ids) {
          hits += 1
          #expect(Array(ids) == expected)
        } else {
          cache.insert(key, expected[...])
        }
        if Int.random(in: 0..<50, using: &random) == 0, round == 0 {
          let long = Array(repeating: UInt8(word & 0xFF), count: 15)
          var other = ContiguousArray<Int32>()
          let key = WordCache.Key(long, count: 15)
          if !cache.append(key, to: &other) { cache.insert(key, [1, 2, 3, 4]) }
        }
      }
    }
    #expect(hits > 1000)
  }
}
