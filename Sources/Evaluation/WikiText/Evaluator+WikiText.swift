import Formats
import Glibc

extension Evaluator {
  /// Token and word perplexity of a WikiText file, by the definitions ``WikiTextScore`` names.
  ///
  /// - Parameters:
  ///   - text: The whole file.
  ///   - window: Tokens per window; `nil` for 2048 or as many as the model has positions.
  public func evaluateWikiText(
    _ text: String, tokenizer: Tokenizer, window: Int? = nil,
    progress: (Progress) -> Void = { _ in }
  ) throws(EvaluationError) -> WikiTextScore {
    let positions = model.configuration.maximumPositions
    let window = window ?? min(2048, positions)
    guard window > 1, window <= positions else {
      throw EvaluationError(
        "a WikiText window of \(window) tokens must be above 1 and at most the model's \(positions) positions"
      )
    }
    guard let first = tokenizer.beginningOfText else {
      throw EvaluationError(
        "the tokenizer has no beginning-of-sequence token, which word perplexity starts from")
    }
    let tokens = tokenRequests(text, tokenizer, window: window)
    guard !tokens.isEmpty else {
      throw EvaluationError("the text does not fill one window of \(window) tokens; use more text")
    }
    let tokenLoss = loss(of: tokens, name: "wikitext tokens", progress: progress)
    let articles = WikiTextArticle.articles(in: text)
    let rolling = articles.flatMap {
      ScoringRequest.rolling(over: $0.detokenized, tokenizer, behind: first, window: window)
    }
    let wordLoss = loss(of: rolling, name: "wikitext words", progress: progress)
    let words = articles.reduce(0) { $0 + $1.text.harnessWords }
    let bytes = articles.reduce(0) { $0 + $1.text.utf8.count }
    let count = tokens.reduce(0) { $0 + $1.targets.count }
    return WikiTextScore(
      tokenPerplexity: exp(tokenLoss / Double(count)), tokens: count,
      wordPerplexity: exp(wordLoss / Double(words)),
      bitsPerByte: wordLoss / log(2) / Double(bytes), words: words,
      documents: articles.count, window: window)
  }

  private func tokenRequests(_ text: String, _ tokenizer: Tokenizer, window: Int)
    -> [ScoringRequest]
  {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    let rows = lines.map { $0.allSatisfy(\.isWhitespace) ? "" : $0 + "\n" }
    let ids = tokenizer.encode(
      rows.joined(separator: "\n\n"), addSpecialTokens: true, matchingSpecialTokens: false)
    return (0..<ids.count / window).map { index in
      ScoringRequest(
        ids[index * window..<(index + 1) * window], scored: window - 1, positions: window)
    }
  }

  /// `Σ −ln p` of all targets.
  private func loss(
    of requests: [ScoringRequest], name: String, progress: (Progress) -> Void
  ) -> Double {
    -scores(of: requests, name: name, progress: progress).reduce(0) { $0 + $1.logLikelihood }
  }
}
