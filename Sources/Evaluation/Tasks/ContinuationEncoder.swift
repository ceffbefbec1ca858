import Formats

/// Turns contexts and continuations into tokens as lm-evaluation-harness does.
struct ContinuationEncoder {
  /// The model's tokenizer.
  let tokenizer: Tokenizer
  /// The most tokens the model reads at once.
  let positions: Int

  /// What a model reads and scores for `continuation` behind `context`.
  ///
  /// White space at the context's end belongs to the continuation. Both are tokenised together, and
  /// the continuation's tokens are those beyond as many as the context has alone; the model reads
  /// them behind the context's own. A context too long loses its beginning.
  ///
  /// - Parameter place: Task and sample, for errors.
  func request(
    context: String, continuation: String, place: String
  ) throws(EvaluationError) -> ScoringRequest {
    let (context, rest) = context.splitBeforeTrailingSpace
    let alone = encode(context)
    var contextCount = alone.count
    var tokens: [Int32]
    if context.isEmpty || alone.isEmpty {
      guard let first = tokenizer.beginningOfText else {
        throw EvaluationError(
          "\(place): the context is empty and the tokenizer has no beginning-of-sequence token; give a context"
        )
      }
      tokens = tokenizer.encode(rest + continuation, addSpecialTokens: false)
      if tokens.first != first { tokens.insert(first, at: 0) }
      contextCount = 1
    } else {
      // Where a token reaches over the boundary, the context still has the tokens it has alone.
      tokens = alone + encode(context + rest + continuation).dropFirst(alone.count)
    }
    let scored = tokens.count - contextCount
    guard scored > 0 else {
      throw EvaluationError(
        "\(place): the continuation \"\(continuation.prefix(40))\" adds no token to its context; correct the sample"
      )
    }
    guard scored <= positions else {
      throw EvaluationError(
        "\(place): the continuation has \(scored) tokens, the model \(positions) positions; leave the sample out"
      )
    }
    return ScoringRequest(tokens, scored: scored, positions: positions)
  }

  /// The tokens of a text behind what the tokenizer puts before every text, which a text that
  /// spells it out already does not get twice.
  func encode(_ text: String) -> [Int32] {
    let ids = tokenizer.encode(text, addSpecialTokens: false)
    let prefix = tokenizer.prefixTokens
    return ids.starts(with: prefix) ? ids : prefix + ids
  }
}

extension String {
  /// The text up to the white space at its end, and that white space.
  fileprivate var splitBeforeTrailingSpace: (text: String, space: String) {
    let scalars = unicodeScalars
    let end =
      scalars.lastIndex { !$0.properties.isWhitespace && !(0x1C...0x1F).contains($0.value) }
      .map { scalars.index(after: $0) } ?? scalars.startIndex
    return (String(scalars[..<end]), String(scalars[end...]))
  }
}
