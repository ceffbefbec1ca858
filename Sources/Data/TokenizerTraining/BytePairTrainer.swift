/// Learns byte-pair merges from text (Sennrich et al., 2016, on bytes as in GPT-2).
///
/// Feed it pieces as the pre-tokenizer cuts them; merges never cross a piece. The result depends
/// only on the multiset of pieces: the most frequent pair is merged first, and among equally
/// frequent pairs the one whose left, then right, bytes come first in lexicographic order.
public struct BytePairTrainer: Sendable {
  private var counts: [[UInt8]: Int] = [:]
  private let minimumCount: Int
  private let keepsDigitsApart: Bool

  /// - Parameters:
  ///   - minimumCount: pairs seen less often are not merged.
  ///   - keepsDigitsApart: pieces with an ASCII digit give no merges, so every number is spelled
  ///     digit by digit; a small model learns column arithmetic only on such text.
  public init(minimumCount: Int = 2, keepsDigitsApart: Bool = true) {
    self.minimumCount = minimumCount
    self.keepsDigitsApart = keepsDigitsApart
  }

  /// Counts one piece of pre-tokenized text.
  public mutating func add(piece: some Sequence<UInt8>) {
    let bytes = Array(piece)
    guard bytes.count > 1 else { return }
    if keepsDigitsApart && bytes.contains(where: { (0x30...0x39).contains($0) }) { return }
    counts[bytes, default: 0] += 1
  }

  /// Cuts a text with the given pre-tokenizer and counts its pieces.
  public mutating func add(text: String, split: (String) -> [String]) {
    for piece in split(text) { add(piece: piece.utf8) }
  }

  /// Up to `limit` merges in the order they apply; fewer when no pair is frequent enough.
  public func merges(limit: Int) -> [BytePairMerge] {
    var table = PairTable(pieces: counts)
    var merges: [BytePairMerge] = []
    while merges.count < limit, let best = table.mostFrequent(atLeast: minimumCount) {
      merges.append(BytePairMerge(left: table.bytes[best.left], right: table.bytes[best.right]))
      table.merge(best)
    }
    return merges
  }
}

/// Two tokens that become one, as bytes.
public struct BytePairMerge: Equatable, Sendable {
  /// The bytes of the first token.
  public let left: [UInt8]
  /// The bytes of the second token.
  public let right: [UInt8]

  /// A merge of two tokens.
  public init(left: [UInt8], right: [UInt8]) {
    self.left = left
    self.right = right
  }

  /// The bytes of the merged token.
  public var merged: [UInt8] { left + right }
}
