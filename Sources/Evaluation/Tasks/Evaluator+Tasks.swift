import Data
import Formats
import Models

extension Evaluator {
  /// Scores a task by the rules of lm-evaluation-harness. The reference model takes no part.
  ///
  /// - Parameters:
  ///   - stops: Tokens that end generated text.
  ///   - renderer: Writes the chats of recall tasks.
  ///   - progress: Told how many continuations or samples of the task are done.
  /// - Throws: ``EvaluationError`` naming the sample that cannot be scored.
  public func evaluate(
    _ task: TaskFile, tokenizer: Tokenizer, stops: Set<Int32> = [],
    renderer: ChatRenderer? = nil, progress: (Progress) -> Void = { _ in }
  ) throws(EvaluationError) -> TaskResult {
    guard !task.samples.isEmpty else {
      throw EvaluationError("\(task.name): there are no samples; use a higher limit")
    }
    let run = TaskRun(
      evaluator: self, task: task,
      encoder: ContinuationEncoder(
        tokenizer: tokenizer, positions: model.configuration.maximumPositions))
    switch task.form {
    case .multipleChoice, .contextChoice: return try run.choices(progress)
    case .cloze: return try run.clozes(progress)
    case .text: return try run.texts(progress)
    case .recall: return try run.recalls(renderer, progress)
    case .generation: return try run.generations(stops: stops, progress)
    }
  }
}

/// One task with what scores it.
struct TaskRun {
  let evaluator: Evaluator
  let task: TaskFile
  let encoder: ContinuationEncoder

  /// A context and a continuation behind it.
  typealias Pair = (context: String, continuation: String)

  /// What separates a context from its continuation.
  static let delimiter = " "

  /// Rates every pair of every sample.
  func scores(_ pairs: [[Pair]], _ progress: (Evaluator.Progress) -> Void) throws(EvaluationError)
    -> [[ContinuationScore]]
  {
    var requests: [ScoringRequest] = []
    for (index, sample) in pairs.enumerated() {
      for (context, continuation) in sample {
        requests.append(
          try encoder.request(
            context: context, continuation: continuation, place: place(index)))
      }
    }
    let scores = evaluator.scores(of: requests, name: task.name, progress: progress)
    guard scores.allSatisfy(\.logLikelihood.isFinite) else {
      throw EvaluationError(
        "\(task.name): the model's logits are not finite; the weights are damaged, or config.json does not belong to them"
      )
    }
    var start = 0
    return pairs.map { sample in
      defer { start += sample.count }
      return Array(scores[start..<start + sample.count])
    }
  }

  /// What errors call a sample.
  func place(_ index: Int) -> String { "\(task.name), sample \(index)" }

  /// What the record of every sample begins with.
  func record(_ index: Int, target: JSON, _ arguments: [JSON], _ responses: [JSON]) -> JSONObject {
    [
      "task": JSON(task.name), "doc_id": JSON(index), "target": target,
      "arguments": .array(arguments), "resps": .array(responses),
    ]
  }

  /// The result over all samples.
  func result(_ metrics: [TaskResult.Metric], _ records: [JSONObject]) -> TaskResult {
    TaskResult(
      task: task.name, form: task.form, samples: records.count, metrics: metrics, records: records)
  }
}

extension ContinuationScore {
  /// The score as a record has it.
  var json: JSON { [JSON(logLikelihood), JSON(isGreedy)] }
}
