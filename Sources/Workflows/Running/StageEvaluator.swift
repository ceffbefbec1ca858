import Data
import Evaluation
import Formats
import Models
import Numerics

/// Scores the model in training on the pipeline's held-out data; reads that data once.
final class StageEvaluator {
  /// The held-out text, a stream per domain.
  let streams: [TokenStream]
  private let settings: Evaluator.Settings
  private let context: Context

  /// `nil` when the pipeline evaluates nothing.
  init?(
    _ pipeline: Pipeline, run: String, _ folder: ModelFolder, _ tokenizer: Tokenizer,
    _ context: Context, _ shared: SharedWork
  ) throws {
    guard let evaluate = pipeline.evaluate else { return nil }
    let format = try? folder.chatFormat(tokenizer: tokenizer)
    let builder = try TokenStreamBuilder(tokenizer: tokenizer, format: format)
    let files = try evaluate.data.map { try pipeline.resolve($0, run: run) }
    let limit = evaluate.window * evaluate.windows + 1
    streams = try shared.once("\(files) \(limit)") {
      try builder.streams(files: files, tokenLimit: limit)
    }
    settings = evaluate.protocol
    self.context = context
  }

  /// The scores of the model as it is now.
  func scores(of model: LanguageModel) throws -> EvaluationResult {
    try Evaluator(model, settings: settings, in: context).evaluate(streams)
  }

  /// The loss of a model on each of `domains`, in nats.
  /// - Parameter windows: Of each domain at most as many; `nil` for those of evaluations.
  func losses(
    of model: LanguageModel, on domains: [String], windows: Int?
  ) throws -> [Double] {
    var settings = settings
    settings.windows = min(settings.windows, windows ?? .max)
    let evaluator = try Evaluator(model, settings: settings, in: context)
    var losses: [String: Double] = [:]
    for stream in streams where domains.contains(stream.domain) {
      losses[stream.domain] = try evaluator.evaluate(stream).loss
    }
    return domains.map { losses[$0] ?? .nan }
  }
}
