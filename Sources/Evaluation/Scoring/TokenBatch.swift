import Data

/// Stretches of text packed one after another for one forward pass, each its own document.
struct TokenBatch {
  /// The input tokens.
  private(set) var tokens: [Int32] = []
  /// Rows of the input whose next token is scored; a row may be scored for several tokens.
  private(set) var scoredRows: [Int32] = []
  /// For each scored row the token that should follow.
  private(set) var targets: [Int32] = []
  /// Input tokens per stretch.
  private(set) var lengths: [Int] = []

  /// A batch without tokens.
  init() {}

  /// The documents of a batch, scored where their loss weight is not 0.
  init(_ batch: Batch) {
    tokens = batch.tokens
    scoredRows = batch.lossWeights.indices.lazy.filter { batch.lossWeights[$0] != 0 }
      .map(Int32.init)
    targets = scoredRows.map { batch.targets[Int($0)] }
    let starts = batch.documentStarts
    let firsts = starts.indices.filter { $0 == 0 || starts[$0] != starts[$0 - 1] }
    lengths = zip(firsts, firsts.dropFirst() + [starts.count]).map { $1 - $0 }
  }

  /// Appends a stretch.
  mutating func append(_ request: ScoringRequest) {
    tokens += request.inputs
    lengths.append(request.inputs.count)
    score(request.targets)
  }

  /// Appends a stretch that is scored at some of its rows.
  mutating func append(_ inputs: some Collection<Int32>, scoring rows: [(row: Int, target: Int32)])
  {
    scoredRows += rows.map { Int32(tokens.count + $0.row) }
    targets += rows.map(\.target)
    tokens += inputs
    lengths.append(inputs.count)
  }

  /// Scores other tokens at the end of the stretch appended last.
  mutating func score(_ targets: [Int32]) {
    scoredRows += Int32(tokens.count - targets.count)..<Int32(tokens.count)
    self.targets += targets
  }
}

/// Tokens to read, and the tokens scored behind the last of them.
struct ScoringRequest: Equatable {
  /// What the model reads.
  let inputs: [Int32]
  /// The token behind each of the last `targets.count` inputs.
  let targets: [Int32]

  /// The last `scored` of `tokens`, behind as much of the others as a model of so many positions
  /// can read at once.
  init(_ tokens: some Collection<Int32>, scored: Int, positions: Int) {
    let kept = Array(tokens.suffix(positions + 1))
    precondition((1..<kept.count).contains(scored), "\(scored) of \(kept.count) tokens")
    inputs = Array(kept.dropLast())
    targets = kept.suffix(scored)
  }
}
