import Models
import Numerics

/// Runs a model, and a reference beside it, over packed text and sums what it predicts.
struct Scorer {
  let model: LanguageModel
  let reference: LanguageModel?
  let context: Context

  /// Adds the scores of one batch to `totals`.
  func add(_ batch: TokenBatch, to totals: inout ScoreTotals) {
    guard !batch.tokens.isEmpty else { return }
    let tokens_T = context.tensor(batch.tokens, [batch.tokens.count])
    let layout = SequenceLayout(documentLengths: batch.lengths, in: context)
    let output = model(tokens_T, layout: layout, in: context)
    for routed in output.routings {
      totals.count(
        context.readIntegers(routed.routing.counts_E), layer: routed.layer, part: routed.part)
    }
    guard !batch.scoredRows.isEmpty else { return }
    let rows = context.tensor(batch.scoredRows, [batch.scoredRows.count])
    let targets = batch.scoredRows.map { batch.targets[Int($0)] }
    let referenceHidden = reference.map { $0(tokens_T, layout: layout, in: context).hidden_TD }
    let statistics = context.tokenStatistics(
      // The head is the widest matrix, so only scored rows reach it; looking up rows of a table is
      // what gathers them.
      context.embedding(rows, weight: output.hidden_TD), weight: model.head.tensor,
      targets: context.tensor(targets, [targets.count]),
      teacher: reference.flatMap { reference in
        referenceHidden.map { (context.embedding(rows, weight: $0), reference.head.tensor) }
      })
    totals.tokens += targets.count
    totals.crossEntropy += sum(statistics.crossEntropy_T)
    totals.correct += sum(statistics.correct_T)
    totals.divergence += statistics.divergence_T.map(sum) ?? 0
    totals.agreement += statistics.agreement_T.map(sum) ?? 0
  }

  private func sum(_ values: Tensor) -> Double { context.readDoubles(values).reduce(0, +) }
}
