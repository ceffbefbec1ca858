import Data
import Evaluation
import Formats
import Models
import Numerics

/// Scores one model of a run on the pipeline's held-out data, beside the dense model.
struct RunEvaluation {
  let settings: EvaluateSettings
  let pipeline: Pipeline
  let run: String
  /// The checkpoint to score.
  let checkpoint: String
  /// The dense checkpoint to compare with; `nil` for the dense model itself.
  let dense: String?
  let label: String
  let events: WorkflowEvents
  let context: Context
  let shared: SharedWork

  /// Loads, scores, and returns the result as `run.json` keeps it.
  func execute() throws -> JSON {
    var evaluation = CheckpointEvaluation(
      checkpoint: checkpoint, data: try settings.data.map { try pipeline.resolve($0, run: run) },
      settings: settings.protocol)
    evaluation.reference = dense
    evaluation.exactMatchPrompts = settings.exactMatch
    evaluation.tasks = try settings.tasks.map {
      RecallTask(rawValue: $0) == nil ? try pipeline.resolve($0, run: run) : $0
    }
    evaluation.recall = settings.recall
    evaluation.recall.seed = pipeline.seed
    evaluation.taskLimit = settings.taskLimit
    let result = try evaluation.run(in: context, shared: shared) { progress in
      events.progress(
        WorkflowProgress(
          "\(label): \(progress.domain)", done: progress.done, total: progress.total))
    }
    return result.json
  }
}
