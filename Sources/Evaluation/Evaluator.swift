import Data
import Models
import Numerics

/// Scores a model on token streams, alone or against the model it came from.
///
/// Several windows go through the model in one pass, each as a document of its own, so that matrix
/// products are large and memory stays bounded.
public struct Evaluator {
  /// Which part of a stream is scored.
  public struct Settings: Sendable, Equatable {
    /// Input tokens per window, which is also the stride.
    public var window: Int
    /// The most windows per domain.
    public var windows: Int
    /// The most tokens in one forward pass; one window always fits.
    public var tokensPerPass: Int

    /// Whether each record attends to itself only, as a model trained on packed documents expects.
    public var separatesDocuments: Bool

    /// The protocol `window` × `windows`.
    public init(
      window: Int = 1024, windows: Int = 48, tokensPerPass: Int = 4096,
      separatesDocuments: Bool = false
    ) {
      self.window = window
      self.windows = windows
      self.tokensPerPass = tokensPerPass
      self.separatesDocuments = separatesDocuments
    }
  }

  /// What is scored.
  public let model: LanguageModel
  /// What it is compared with.
  public let reference: LanguageModel?
  /// Which part of a stream is scored.
  public let settings: Settings
  let scorer: Scorer

  /// - Parameter reference: A model with the same vocabulary, usually the dense one.
  /// - Throws: ``EvaluationError`` when the settings or the reference do not fit the model.
  public init(
    _ model: LanguageModel, against reference: LanguageModel? = nil,
    settings: Settings = Settings(), in context: Context
  ) throws(EvaluationError) {
    guard settings.window > 0, settings.windows > 0 else {
      throw EvaluationError("window and windows must be at least 1")
    }
    if let reference,
      reference.configuration.vocabularySize != model.configuration.vocabularySize
    {
      throw EvaluationError(
        "the models have \(model.configuration.vocabularySize) and \(reference.configuration.vocabularySize) vocabulary rows; compare models with one vocabulary"
      )
    }
    self.model = model
    self.reference = reference
    self.settings = settings
    scorer = Scorer(model: model, reference: reference, context: context)
  }

  /// Scores every stream as one domain.
  /// - Parameter progress: Told at the start and after each pass how many windows of a domain are done.
  public func evaluate(
    _ streams: [TokenStream], progress: (Progress) -> Void = { _ in }
  ) throws(EvaluationError) -> EvaluationResult {
    var domains: [DomainScore] = []
    for stream in streams { domains.append(try evaluate(stream, progress: progress)) }
    return EvaluationResult(domains: domains)
  }

  /// Scores one domain by windows: window j reads tokens j·L … j·L + L − 1 and predicts tokens
  /// j·L + 1 … j·L + L; the loss is the mean over the targets that the stream's mask marks.
  public func evaluate(
    _ stream: TokenStream, progress: (Progress) -> Void = { _ in }
  ) throws(EvaluationError) -> DomainScore {
    let positions = model.configuration.maximumPositions
    guard settings.window <= positions else {
      throw EvaluationError(
        "a window of \(settings.window) tokens exceeds the model's \(positions) positions; use a smaller --window"
      )
    }
    let windows = EvaluationWindows(
      stream, length: settings.window, limit: settings.windows,
      separatesDocuments: settings.separatesDocuments)
    guard windows.count > 0 else {
      throw EvaluationError(
        "\(stream.domain): \(stream.ids.count) tokens do not fill a window of \(settings.window) and its last target; use a smaller --window or more data"
      )
    }
    var totals = ScoreTotals()
    let perPass = max(1, settings.tokensPerPass / settings.window)
    var done = 0
    progress(Progress(domain: stream.domain, done: 0, total: windows.count))
    for first in stride(from: 0, to: windows.count, by: perPass) {
      let batch = windows.batch(first..<min(first + perPass, windows.count))
      scorer.add(TokenBatch(batch), to: &totals)
      done += batch.sequenceCount
      progress(Progress(domain: stream.domain, done: done, total: windows.count))
    }
    guard totals.tokens > 0 else {
      throw EvaluationError(
        "\(stream.domain): no assistant tokens in the first \(windows.count) windows, so there is nothing to score; use more windows or other data"
      )
    }
    guard totals.loss.isFinite else {
      throw EvaluationError(
        "\(stream.domain): the model's logits are not finite; the weights are damaged, or config.json does not belong to them"
      )
    }
    return DomainScore(
      totals, domain: stream.domain, windows: windows.count, hasReference: reference != nil)
  }

  /// How far an evaluation is.
  public struct Progress: Sendable, Equatable {
    /// The domain being scored.
    public let domain: String
    /// Windows done.
    public let done: Int
    /// Windows in all.
    public let total: Int

    /// `done` of `total` for `domain`.
    public init(domain: String, done: Int, total: Int) {
      self.domain = domain
      self.done = done
      self.total = total
    }
  }
}
