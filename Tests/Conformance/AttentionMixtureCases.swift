import Numerics

extension ConformanceCase {
  /// What attention experts add to attention.
  static let attentionMixtures: [ConformanceCase] = {
    let sizes: [Sizes] = [
      Sizes(tokens: 1, heads: 1, dim: 1, experts: 1, topK: 1),
      Sizes(tokens: 1, heads: 16, dim: 32, experts: 8, topK: 4),
      Sizes(tokens: 5, heads: 6, dim: 5, experts: 3, topK: 2),
      Sizes(tokens: 63, heads: 12, dim: 64, experts: 4, topK: 3),
      Sizes(tokens: 65, heads: 9, dim: 24, experts: 9, topK: 9),
      Sizes(tokens: 700, heads: 16, dim: 32, experts: 8, topK: 7),
    ]
    var cases: [ConformanceCase] = []
    for size in sizes { cases += [scaling(size), packing(size), unpacking(size)] }
    return cases
  }()

  private struct Sizes: Sendable {
    let tokens: Int
    let heads: Int
    let dim: Int
    let experts: Int
    let topK: Int

    var name: String { "T\(tokens) heads \(heads) d\(dim) E\(experts) K\(topK)" }

    /// Every fourth head is shared.
    var expertOfHead: [Int32] {
      (0..<Int32(heads)).map { (head: Int32) -> Int32 in
        head % 4 == 3 ? -1 : head % Int32(experts)
      }
    }

    /// A fixed routing.
    func routed(_ trial: Trial) -> (routing: Routing, dispatch: ExpertDispatch) {
      let logits = trial.weight([tokens, experts])
      logits.isTrainable = false
      let routing = trial.context.route(
        logits.value, topK: topK, combination: .uniform(weight: 1))
      return (routing, trial.context.dispatch(routing, experts: experts))
    }
  }

  private static func scaling(_ size: Sizes) -> ConformanceCase {
    ConformanceCase("scaleHeads \(size.name)") { trial in
      let context = trial.context
      let x = trial.activation([size.tokens, size.heads * size.dim])
      let logits = trial.weight([size.tokens, size.experts])
      let expertOfHead = context.tensor(size.expertOfHead, [size.heads])
      trial.differentiate {
        let routing = context.route(
          logits.tensor, topK: size.topK, combination: .softmax(scale: Double(size.experts)))
        let y = context.scaleHeads(x.tensor, routing, expertOfHead: expertOfHead)
        return [("y", y)]
      }
    }
  }

  private static func packing(_ size: Sizes) -> ConformanceCase {
    ConformanceCase("packExperts \(size.name)") { trial in
      let context = trial.context
      let x = trial.activation([size.tokens, size.experts * size.dim])
      let (routing, dispatch) = size.routed(trial)
      let first = size.tokens / 3
      let layout = SequenceLayout(documentLengths: [first, size.tokens - first], in: context)
      trial.note("starts", context.packedStarts(layout, routing, dispatch))
      trial.note("windowed", context.packedStarts(layout, routing, dispatch, window: 7))
      trial.differentiate { [("y", context.packExperts(x.tensor, routing, dispatch))] }
    }
  }

  private static func unpacking(_ size: Sizes) -> ConformanceCase {
    ConformanceCase("unpackExperts \(size.name)") { trial in
      let context = trial.context
      let x = trial.activation([size.tokens * size.topK, size.dim])
      let (routing, dispatch) = size.routed(trial)
      trial.differentiate { [("y", context.unpackExperts(x.tensor, routing, dispatch))] }
    }
  }
}
