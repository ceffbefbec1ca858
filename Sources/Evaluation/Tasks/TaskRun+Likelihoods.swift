import Data
import Formats
import Glibc

extension TaskRun {
  /// How likely each continuation is, and whether greedy decoding would write it.
  func clozes(_ progress: (Evaluator.Progress) -> Void) throws(EvaluationError) -> TaskResult {
    let pairs = task.samples.compactMap { sample -> Pair? in
      guard case .cloze(let context, let continuation) = sample else { return nil }
      return (context, Self.delimiter + continuation)
    }
    let scores = try scores(pairs.map { [$0] }, progress).map { $0[0] }
    let records = zip(pairs, scores).enumerated().map { index, scored in
      let (pair, score) = scored
      var record = record(
        index, target: JSON(pair.continuation), [[JSON(pair.context), JSON(pair.continuation)]],
        [score.json])
      record["perplexity"] = JSON(score.logLikelihood)
      record["acc"] = JSON(score.isGreedy ? 1 : 0)
      return record
    }
    return result(
      [
        .perplexity(scores.map(\.logLikelihood)),
        .mean("acc", scores.map { $0.isGreedy ? 1 : 0 }),
      ], records)
  }

  /// Perplexity over words and bytes of whole texts.
  func texts(_ progress: (Evaluator.Progress) -> Void) throws(EvaluationError) -> TaskResult {
    guard let first = encoder.tokenizer.beginningOfText else {
      throw EvaluationError(
        "\(task.name): the tokenizer has no beginning-of-sequence token, which the perplexity of a text starts from"
      )
    }
    let texts = task.samples.compactMap { sample -> String? in
      guard case .text(let text) = sample else { return nil }
      return text
    }
    let requests = texts.map {
      ScoringRequest.rolling(
        over: $0, encoder.tokenizer, behind: first, window: encoder.positions)
    }
    let scores = evaluator.scores(
      of: Array(requests.joined()), name: task.name, progress: progress)
    var totals = (logLikelihood: 0.0, words: 0, bytes: 0)
    var records: [JSONObject] = []
    var start = 0
    for (index, text) in texts.enumerated() {
      let parts = scores[start..<start + requests[index].count]
      start += parts.count
      let likelihood = parts.reduce(0) { $0 + $1.logLikelihood }
      totals.logLikelihood += likelihood
      totals.words += text.harnessWords
      totals.bytes += text.utf8.count
      var record = record(index, target: JSON(text), [[JSON(text)]], [[JSON(likelihood)]])
      record["words"] = JSON(text.harnessWords)
      record["bytes"] = JSON(text.utf8.count)
      records.append(record)
    }
    guard totals.logLikelihood.isFinite else {
      throw EvaluationError("\(task.name): the model's logits are not finite; check its weights")
    }
    func metric(_ name: String, _ value: Double) -> TaskResult.Metric {
      .init(name: name, value: value, standardError: nil)
    }
    let perByte = -totals.logLikelihood / Double(totals.bytes)
    return result(
      [
        metric("word_perplexity", exp(-totals.logLikelihood / Double(totals.words))),
        metric("byte_perplexity", exp(perByte)), metric("bits_per_byte", perByte / log(2)),
      ], records)
  }
}
