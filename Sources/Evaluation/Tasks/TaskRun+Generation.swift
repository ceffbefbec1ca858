import Data
import Formats
import Models

extension TaskRun {
  /// The most tokens of a solution.
  private static let newTokens = 256
  /// Texts that end a solution.
  private static let endings = ["Question:", "</s>", "<|im_end|>"]

  /// Solutions written greedily, one question after another, and read in two ways: `strict-match`
  /// takes the number behind `####`, `flexible-extract` the last number.
  func generations(
    stops: Set<Int32>, _ progress: (Evaluator.Progress) -> Void
  ) throws(EvaluationError) -> TaskResult {
    var correct: [AnswerFilter: [Double]] = [:]
    var records: [JSONObject] = []
    progress(.init(domain: task.name, done: 0, total: task.samples.count))
    for case .question(let context, let answer) in task.samples {
      let prompt = Self.prompt(context)
      let solution = try solution(of: prompt, stops: stops, place: place(records.count))
      var record = record(
        records.count, target: JSON(answer), [[JSON(prompt)]], [[JSON(solution)]])
      var filtered = JSONObject()
      for filter in AnswerFilter.allCases {
        let given = filter.answer(in: solution)
        filtered[filter.rawValue] = JSON(given)
        let isRight = AnswerFilter.isMatch(given, answer)
        correct[filter, default: []].append(isRight ? 1 : 0)
        record["exact_match,\(filter.rawValue)"] = JSON(isRight ? 1 : 0)
      }
      record["filtered_resps"] = .object(filtered)
      records.append(record)
      progress(.init(domain: task.name, done: records.count, total: task.samples.count))
    }
    return result(
      AnswerFilter.allCases.map { .mean("exact_match,\($0.rawValue)", correct[$0] ?? []) }, records)
  }

  /// The question as the harness asks it. A context that already ends in "Answer:", as one with
  /// worked examples does, is taken as it is.
  static func prompt(_ context: String) -> String {
    context.hasSuffix("Answer:") ? context : "Question: \(context)\nAnswer:"
  }

  /// What greedy decoding writes behind `prompt`, up to the first ending.
  private func solution(
    of prompt: String, stops: Set<Int32>, place: String
  ) throws(EvaluationError) -> String {
    // A model with few positions shares them between question and solution.
    let limit = min(Self.newTokens, encoder.positions / 2)
    let tokens = Array(encoder.encode(prompt).suffix(encoder.positions - limit))
    guard !tokens.isEmpty, limit > 0 else {
      throw EvaluationError("\(place): the model has too few positions to write an answer")
    }
    let generator = TextGenerator(
      evaluator.model, capacity: tokens.count + limit, in: evaluator.scorer.context)
    var sampler = Sampler()
    var decoder = StreamingDecoder(encoder.tokenizer)
    var text = ""
    var unread = tokens
    for _ in 0..<limit {
      guard let token = generator.next(after: unread, &sampler) else {
        throw EvaluationError("\(place): the model's scores are not finite; check its weights")
      }
      if stops.contains(token) { break }
      text += decoder.append(token)
      if let end = Self.endings.compactMap({ text.firstOffset(of: $0) }).min() {
        return String(decoding: text.utf8.prefix(end), as: UTF8.self)
      }
      unread = [token]
    }
    return text + decoder.finish()
  }
}

extension String {
  /// Where `part` begins, in bytes.
  fileprivate func firstOffset(of part: String) -> Int? {
    let (bytes, wanted) = (Array(utf8), Array(part.utf8))
    guard bytes.count >= wanted.count else { return nil }
    return (0...bytes.count - wanted.count).first { bytes[$0...].starts(with: wanted) }
  }
}
