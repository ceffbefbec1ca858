import Models
import Numerics

/// Runs a model, and a reference beside it, over packed text and rates what it predicts.
struct Scorer {
  let model: LanguageModel
  let reference: LanguageModel?
  let context: Context

  /// Adds the scores of one batch to `totals`.
  func add(_ batch: TokenBatch, to totals: inout ScoreTotals) {
    guard !batch.tokens.isEmpty else { return }
    let (statistics, routings) = run(batch, reference)
    for routed in routings {
      totals.count(
        context.readIntegers(routed.routing.counts_E), layer: routed.layer, part: routed.part)
    }
    guard let statistics else { return }
    totals.tokens += batch.targets.count
    totals.crossEntropy += sum(statistics.crossEntropy_T)
    totals.correct += sum(statistics.correct_T)
    totals.divergence += statistics.divergence_T.map(sum) ?? 0
    totals.agreement += statistics.agreement_T.map(sum) ?? 0
  }

  /// `-ln p(target)` at each scored row of a batch, and whether the target ranks first there.
  func rows(_ batch: TokenBatch) -> (crossEntropy: [Double], isFirst: [Bool]) {
    guard !batch.tokens.isEmpty, let statistics = run(batch, nil).statistics else {
      return ([], [])
    }
    return (
      context.readDoubles(statistics.crossEntropy_T),
      context.readDoubles(statistics.correct_T).map { $0 == 1 }
    )
  }

  /// Statistics of the scored rows, if there are any, and how the tokens were routed.
  private func run(_ batch: TokenBatch, _ reference: LanguageModel?) -> (
    statistics: TokenStatistics?, routings: [LayerRouting]
  ) {
    let tokens_T = context.tensor(batch.tokens, [batch.tokens.count])
    let layout = SequenceLayout(documentLengths: batch.lengths, in: context)
    let output = model(tokens_T, layout: layout, in: context)
    guard !batch.scoredRows.isEmpty else { return (nil, output.routings) }
    let rows = context.tensor(batch.scoredRows, [batch.scoredRows.count])
    let referenceHidden = reference.map { $0(tokens_T, layout: layout, in: context).hidden_TD }
    let statistics = context.tokenStatistics(
      // The head is the widest matrix, so only scored rows reach it; looking up rows of a table is
      // what gathers them.
      context.embedding(rows, weight: output.hidden_TD), weight: model.head.tensor,
      targets: context.tensor(batch.targets, [batch.targets.count]),
      teacher: reference.flatMap { reference in
        referenceHidden.map { (context.embedding(rows, weight: $0), reference.head.tensor) }
      })
    return (statistics, output.routings)
  }

  private func sum(_ values: Tensor) -> Double { context.readDoubles(values).reduce(0, +) }
}
