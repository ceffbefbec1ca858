import Formats

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

extension ScoringRequest {
  /// Requests that score every token of a text once, the first behind `first`: the rolling
  /// log-likelihood of lm-evaluation-harness, with one token of context between windows.
  static func rolling(
    over text: String, _ tokenizer: Tokenizer, behind first: Int32, window: Int
  ) -> [ScoringRequest] {
    let ids =
      [first] + tokenizer.encode(text, addSpecialTokens: false, matchingSpecialTokens: false)
    return Span.rolling(over: 0..<ids.count - 1, window: window).map { span in
      ScoringRequest(
        ids[span.inputs.lowerBound...span.inputs.upperBound], scored: span.scored,
        positions: window)
    }
  }
}

extension Tokenizer {
  /// The beginning-of-sequence token: what the tokenizer adds itself, or else by its usual
  /// spellings.
  var beginningOfText: Int32? {
    prefixTokens.first
      ?? ["<|begin_of_text|>", "<s>", "<|endoftext|>"].lazy.compactMap { self.id(of: $0) }.first
  }
}

extension String {
  /// Words as lm-evaluation-harness counts them: the pieces between runs of white space, an empty
  /// piece at either end included.
  var harnessWords: Int {
    var count = 1
    var wasSpace = false
    for scalar in unicodeScalars {
      let isSpace = scalar.properties.isWhitespace
      if isSpace, !wasSpace { count += 1 }
      wasSpace = isSpace
    }
    return count
  }
}
