import Data
import Formats
import Models
import Numerics

extension Evaluator {
  /// How each mixture layer would route a stream if experts chose tokens, a pass at a time; empty for
  /// a dense model.
  public func expertChoice(_ stream: TokenStream) -> [ExpertChoice] {
    let windows = EvaluationWindows(
      stream, length: settings.window, limit: settings.windows,
      separatesDocuments: settings.separatesDocuments)
    let perPass = max(1, settings.tokensPerPass / settings.window)
    var layers: [ExpertChoice] = []
    for first in stride(from: 0, to: windows.count, by: perPass) {
      let batch = TokenBatch(windows.batch(first..<min(first + perPass, windows.count)))
      let context = scorer.context
      let output = model(
        context.tensor(batch.tokens, [batch.tokens.count]),
        layout: SequenceLayout(documentLengths: batch.lengths, in: context), in: context)
      for (index, routed) in output.routings.enumerated() {
        if index == layers.count {
          layers.append(ExpertChoice(layer: routed.layer, part: routed.part))
        }
        layers[index].add(
          probabilities: context.readDoubles(routed.routing.probabilities_TE),
          chosen: context.readIntegers(routed.routing.experts_TK),
          experts: routed.routing.counts_E.count)
      }
    }
    return layers
  }
}

extension [ExpertChoice] {
  /// The layers' analyses for machines.
  public var json: JSON { .array(map(\.json)) }
}
