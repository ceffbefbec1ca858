import Data
import Formats

extension TaskRun {
  /// Multiple choice, and a continuation behind several contexts: the likeliest pair is the answer,
  /// ties going to the first. `acc_norm` and `acc_bytes` divide the log-likelihood of a choice by
  /// its characters and by its bytes.
  func choices(_ progress: (Evaluator.Progress) -> Void) throws(EvaluationError) -> TaskResult {
    let questions = task.samples.compactMap(Question.init)
    let scores = try scores(questions.map(\.pairs), progress)
    var correct: [String: [Double]] = [:]
    var records: [JSONObject] = []
    for (index, (question, scores)) in zip(questions, scores).enumerated() {
      var record = record(
        index, target: JSON(question.gold),
        question.pairs.map { [JSON($0.context), JSON($0.continuation)] }, scores.map(\.json))
      for (name, lengths) in question.lengths {
        let values = zip(scores, lengths).map { $0.logLikelihood / $1 }
        let isRight = values.firstIndex(of: values.max() ?? .nan) == question.gold
        correct[name, default: []].append(isRight ? 1 : 0)
        record[name] = JSON(isRight ? 1 : 0)
      }
      records.append(record)
    }
    let names = questions.first?.lengths.map(\.name) ?? []
    return result(names.map { .mean($0, correct[$0] ?? []) }, records)
  }
}

/// A sample of either form of choice.
private struct Question {
  /// What is rated.
  let pairs: [TaskRun.Pair]
  /// The right pair.
  let gold: Int
  /// By metric what the log-likelihoods are divided by.
  let lengths: [(name: String, divisors: [Double])]

  init?(_ sample: TaskSample) {
    switch sample {
    case .choices(let query, let choices, let gold):
      pairs = choices.map { (query, TaskRun.delimiter + $0) }
      self.gold = gold
      lengths = [
        ("acc", choices.map { _ in 1 }),
        ("acc_norm", choices.map { Double($0.unicodeScalars.count) }),
        ("acc_bytes", choices.map { Double($0.utf8.count) }),
      ]
    case .contexts(let options, let continuation, let gold):
      pairs = options.map { ($0, TaskRun.delimiter + continuation) }
      self.gold = gold
      lengths = [("acc", options.map { _ in 1 })]
    default: return nil
    }
  }
}
