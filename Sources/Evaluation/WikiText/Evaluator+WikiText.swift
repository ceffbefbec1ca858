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
    guard let first = tokenizer.prefixTokens.first ?? tokenizer.beginning else {
      throw EvaluationError(
        "the tokenizer has no beginning-of-sequence token, which word perplexity starts from")
    }
    let tokens = tokenTotals(text, tokenizer, window: window, progress: progress)
    guard tokens.tokens > 0 else {
      throw EvaluationError("the text does not fill one window of \(window) tokens; use more text")
    }
    let articles = WikiTextArticle.articles(in: text)
    let rolling = rollingTotals(articles, tokenizer, first, window: window, progress: progress)
    let words = articles.reduce(0) { $0 + $1.wordCount }
    let bytes = articles.reduce(0) { $0 + $1.text.utf8.count }
    return WikiTextScore(
      tokenPerplexity: exp(tokens.loss), tokens: tokens.tokens,
      wordPerplexity: exp(rolling.crossEntropy / Double(words)),
      bitsPerByte: rolling.crossEntropy / log(2) / Double(bytes), words: words,
      documents: articles.count, window: window)
  }

  private func tokenTotals(
    _ text: String, _ tokenizer: Tokenizer, window: Int, progress: (Progress) -> Void
  ) -> ScoreTotals {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    let rows = lines.map { $0.allSatisfy(\.isWhitespace) ? "" : $0 + "\n" }
    let ids = tokenizer.encode(
      rows.joined(separator: "\n\n"), addSpecialTokens: true, matchingSpecialTokens: false)
    let spans = (0..<ids.count / window).map { index in
      Span(inputs: index * window..<(index + 1) * window - 1, scored: window - 1)
    }
    return total(ids, spans, name: "wikitext tokens", progress: progress)
  }

  private func rollingTotals(
    _ articles: [WikiTextArticle], _ tokenizer: Tokenizer, _ first: Int32, window: Int,
    progress: (Progress) -> Void
  ) -> ScoreTotals {
    // Articles lie end to end, each behind its own beginning-of-sequence token; a span never
    // reaches from one into the next.
    var ids: [Int32] = []
    var spans: [Span] = []
    for article in articles {
      let start = ids.count
      ids.append(first)
      ids += tokenizer.encode(
        article.detokenized, addSpecialTokens: false, matchingSpecialTokens: false)
      spans += Span.rolling(over: start..<ids.count - 1, window: window)
    }
    return total(ids, spans, name: "wikitext words", progress: progress)
  }

  private func total(
    _ ids: [Int32], _ spans: [Span], name: String, progress: (Progress) -> Void
  ) -> ScoreTotals {
    var totals = ScoreTotals()
    var batch = TokenBatch()
    progress(Progress(domain: name, done: 0, total: spans.count))
    for (index, span) in spans.enumerated() {
      if batch.tokens.count + span.inputs.count > settings.tokensPerPass {
        scorer.add(batch, to: &totals)
        batch = TokenBatch()
        progress(Progress(domain: name, done: index, total: spans.count))
      }
      batch.append(ids, span.inputs, scored: span.scored)
    }
    scorer.add(batch, to: &totals)
    progress(Progress(domain: name, done: spans.count, total: spans.count))
    return totals
  }
}

/// Consecutive input tokens, of whose targets the last `scored` count.
struct Span: Equatable {
  var inputs: Range<Int>
  var scored: Int

  /// Spans that score the target of every input in `range` exactly once: full windows side by side,
  /// and a last one that reaches back for as much context as a window holds.
  static func rolling(over range: Range<Int>, window: Int) -> [Span] {
    stride(from: range.lowerBound, to: range.upperBound, by: window).map { start in
      let end = min(start + window, range.upperBound)
      return Span(
        inputs: max(range.lowerBound, end - window)..<end, scored: end - start)
    }
  }
}

extension Tokenizer {
  /// The beginning-of-sequence token by its usual spellings, for tokenizers that do not add one.
  fileprivate var beginning: Int32? {
    ["<|begin_of_text|>", "<s>", "<|endoftext|>"].lazy.compactMap { self.id(of: $0) }.first
  }
}
