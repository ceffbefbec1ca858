import Data
import Glibc
import Models

/// Moves the shares of domains towards those whose loss is furthest above a reference: dynamic batch
/// loading (Xia et al. 2023, "Sheared LLaMA", arXiv 2310.06694, algorithm 1).
struct DomainReweighting {
  private let settings: DomainWeighting
  private let losses: HeldOutLosses

  /// The smallest share: what a domain is dealt out in any case. A share of zero would stay zero.
  static let leastShare = 1 / 1024.0

  /// A rule over the domains of `batches`.
  /// - Throws: ``TrainingError`` where there is nothing to compare or to choose between.
  init?(
    _ stage: StageSettings, batches: any BatchSource, losses: HeldOutLosses?
  ) throws(TrainingError) {
    guard let settings = stage.domainWeighting else { return nil }
    func refusal(_ message: String) -> TrainingError {
      TrainingError("stage \(stage.name): domain_weighting: \(message)")
    }
    guard Set(batches.domains).count > 1 else {
      throw refusal(
        "the data is of one domain, \(batches.domains.first ?? "none"); give files of two or more, or leave it out"
      )
    }
    guard batches is any ReweightableBatchSource else {
      throw refusal("these batches have fixed shares")
    }
    guard let losses, losses.reference.count == batches.domains.count else {
      throw refusal(
        "there is no reference loss for each of the \(batches.domains.count) data files")
    }
    self.settings = settings
    self.losses = losses
  }

  /// Whether shares change after `done` steps.
  func isDue(after done: Int) -> Bool { done % settings.every == 0 }

  /// Measures the model and gives the shares of the steps after `done`.
  func update(
    _ source: any ReweightableBatchSource, model: LanguageModel, after done: Int, stage: String,
    group: any ProcessGroup
  ) throws -> (source: any ReweightableBatchSource, update: WeightUpdate) {
    var current = try losses.measure(model)
    // All processes must deal out alike, to the last bit.
    try group.allReduce(&current)
    current = current.map { $0 / Double(group.size) }
    guard current.allSatisfy(\.isFinite) else {
      throw TrainingError(
        "stage \(stage): held-out losses \(current) after step \(done) are no numbers; lower learning_rate or lengthen the warm-up, then start the stage anew"
      )
    }
    let weights = Self.updated(source.shares.weights, losses: current, losses.reference)
    let entries = source.domains.indices.map {
      WeightUpdate.Entry(
        domain: source.domains[$0], loss: current[$0], reference: losses.reference[$0],
        weight: weights[$0])
    }
    return (
      source.reweighted(weights, fromStep: done),
      WeightUpdate(stage: stage, step: done, entries: entries)
    )
  }

  /// `w · exp(max(loss - reference, 0))`, divided by the sum.
  static func updated(_ weights: [Double], losses: [Double], _ reference: [Double]) -> [Double] {
    let excess = zip(losses, reference).map { max($0 - $1, 0) }
    // The largest exponent is taken out of all: huge losses leave finite weights.
    let largest = excess.max() ?? 0
    let moved = normalized(zip(normalized(weights), excess).map { $0 * exp($1 - largest) })
    return normalized(moved.map { max($0, leastShare) })
  }

  /// Positive weights as parts of one.
  static func normalized(_ weights: [Double]) -> [Double] {
    // Scaled first, so that the sum of huge weights stays finite.
    let largest = weights.max() ?? 1
    let scaled = weights.map { $0 / largest }
    let sum = scaled.reduce(0, +)
    return scaled.map { $0 / sum }
  }
}
