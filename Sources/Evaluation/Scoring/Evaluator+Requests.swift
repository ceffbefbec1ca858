/// How a model rates a continuation.
struct ContinuationScore: Equatable {
  /// `Σ ln p` of its tokens.
  let logLikelihood: Double
  /// Whether each of its tokens ranks first: greedy decoding would write it.
  let isGreedy: Bool
}

extension Evaluator {
  /// Rates continuations, several in one forward pass, each a document of its own. Neighbours that
  /// differ only in their last token are read once.
  ///
  /// - Parameter name: What ``Progress`` calls the work.
  func scores(
    of requests: [ScoringRequest], name: String, progress: (Progress) -> Void
  ) -> [ContinuationScore] {
    var scores: [ContinuationScore] = []
    var batch = TokenBatch()
    var counts: [Int] = []
    func flush() {
      let rows = scorer.rows(batch)
      var start = 0
      for count in counts {
        let range = start..<start + count
        scores.append(
          ContinuationScore(
            logLikelihood: -rows.crossEntropy[range].reduce(0, +),
            isGreedy: rows.isFirst[range].allSatisfy { $0 }))
        start += count
      }
      (batch, counts) = (TokenBatch(), [])
      progress(Progress(domain: name, done: scores.count, total: requests.count))
    }
    progress(Progress(domain: name, done: 0, total: requests.count))
    for (index, request) in requests.enumerated() {
      if index > 0, requests[index - 1].inputs == request.inputs,
        requests[index - 1].targets.count == request.targets.count
      {
        batch.score(request.targets)
      } else {
        if !counts.isEmpty, batch.tokens.count + request.inputs.count > settings.tokensPerPass {
          flush()
        }
        batch.append(request)
      }
      counts.append(request.targets.count)
    }
    if !counts.isEmpty { flush() }
    return scores
  }
}
