import Data

/// Stretches of text packed one after another for one forward pass, each its own document.
struct TokenBatch {
  /// The input tokens.
  private(set) var tokens: [Int32] = []
  /// For each input token the token that follows it.
  private(set) var targets: [Int32] = []
  /// The rows whose target is scored.
  private(set) var scoredRows: [Int32] = []
  /// Input tokens per stretch.
  private(set) var lengths: [Int] = []

  /// A batch without tokens.
  init() {}

  /// The documents of a batch, scored where their loss weight is not 0.
  init(_ batch: Batch) {
    tokens = batch.tokens
    targets = batch.targets
    scoredRows = batch.lossWeights.indices.lazy.filter { batch.lossWeights[$0] != 0 }
      .map(Int32.init)
    let starts = batch.documentStarts
    let firsts = starts.indices.filter { $0 == 0 || starts[$0] != starts[$0 - 1] }
    lengths = zip(firsts, firsts.dropFirst() + [starts.count]).map { $1 - $0 }
  }

  /// Appends the inputs `text[range]`, of whose targets the last `scored` count.
  mutating func append(_ text: [Int32], _ range: Range<Int>, scored: Int) {
    let end = tokens.count + range.count
    tokens += text[range]
    targets += text[range.lowerBound + 1..<range.upperBound + 1]
    scoredRows += Int32(end - scored)..<Int32(end)
    lengths.append(range.count)
  }
}
