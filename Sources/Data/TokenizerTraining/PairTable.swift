/// The pieces as token sequences, with a running count of every adjacent pair.
struct PairTable {
  struct Pair: Hashable {
    let left: Int
    let right: Int
  }

  private struct Piece {
    var tokens: [Int]
    let count: Int
  }

  /// The bytes of each token; the first 256 are the single bytes.
  private(set) var bytes: [[UInt8]] = (0...255).map { [UInt8($0)] }
  private var pieces: [Piece]
  private var counts: [Pair: Int] = [:]
  /// Which pieces may hold a pair; an entry may be stale, never missing.
  private var holders: [Pair: Set<Int>] = [:]

  init(pieces: [[UInt8]: Int]) {
    self.pieces = pieces.map { Piece(tokens: $0.key.map(Int.init), count: $0.value) }
    for index in self.pieces.indices { count(index, sign: 1) }
  }

  /// The pair to merge next, or nil when none occurs often enough.
  func mostFrequent(atLeast minimum: Int) -> Pair? {
    var best: (pair: Pair, count: Int)?
    for (pair, count) in counts where count >= minimum {
      guard let current = best else {
        best = (pair, count)
        continue
      }
      if count > current.count || (count == current.count && precedes(pair, current.pair)) {
        best = (pair, count)
      }
    }
    return best?.pair
  }

  /// Replaces the pair by a new token wherever it occurs, from left to right.
  mutating func merge(_ pair: Pair) {
    let merged = bytes.count
    bytes.append(bytes[pair.left] + bytes[pair.right])
    for index in holders.removeValue(forKey: pair) ?? [] {
      count(index, sign: -1)
      pieces[index].tokens = Self.replaced(pair, by: merged, in: pieces[index].tokens)
      count(index, sign: 1)
    }
  }

  private mutating func count(_ index: Int, sign: Int) {
    let piece = pieces[index]
    for (left, right) in zip(piece.tokens, piece.tokens.dropFirst()) {
      let pair = Pair(left: left, right: right)
      let count = counts[pair, default: 0] + sign * piece.count
      counts[pair] = count == 0 ? nil : count
      if sign > 0 { holders[pair, default: []].insert(index) }
    }
  }

  private static func replaced(_ pair: Pair, by merged: Int, in tokens: [Int]) -> [Int] {
    var result: [Int] = []
    result.reserveCapacity(tokens.count)
    var position = 0
    while position < tokens.count {
      if position + 1 < tokens.count, tokens[position] == pair.left,
        tokens[position + 1] == pair.right
      {
        result.append(merged)
        position += 2
      } else {
        result.append(tokens[position])
        position += 1
      }
    }
    return result
  }

  private func precedes(_ a: Pair, _ b: Pair) -> Bool {
    if bytes[a.left] != bytes[b.left] {
      return bytes[a.left].lexicographicallyPrecedes(bytes[b.left])
    }
    return bytes[a.right].lexicographicallyPrecedes(bytes[b.right])
  }
}
