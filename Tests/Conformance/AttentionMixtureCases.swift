import Numerics

extension ConformanceCase {
  /// What attention experts add to attention: tokens, heads, channels, experts, top-k.
  static let attentionMixtures: [ConformanceCase] = {
    let sizes = [
      (1, 1, 1, 1, 1), (1, 16, 32, 8, 4), (5, 6, 5, 3, 2), (63, 12, 64, 4, 3), (65, 9, 24, 9, 9),
      (700, 16, 32, 8, 7),
    ]
    return sizes.flatMap { t, heads, dim, experts, topK in
      let name = "T\(t) heads \(heads) d\(dim) E\(experts) K\(topK)"
      return [
        ConformanceCase("scaleHeads \(name)") { trial in
          let context = trial.context
          let x = trial.activation([t, heads * dim])
          let logits = trial.weight([t, experts])
          let owners = (0..<heads).map { $0 % 4 == 3 ? -1 : Int32($0 % experts) }
          trial.differentiate {
            let routing = context.route(
              logits.tensor, topK: topK, combination: .softmax(scale: Double(experts)))
            return [
              (
                "y",
                context.scaleHeads(
                  x.tensor, routing, expertOfHead: context.tensor(owners, [heads]))
              )
            ]
          }
        },
        ConformanceCase("packExperts \(name)") { trial in
          let context = trial.context
          let x = trial.activation([t, experts * dim])
          let logits = trial.weight([t, experts])
          logits.isTrainable = false
          let routing = context.route(
            logits.value, topK: topK, combination: .uniform(weight: 1))
          let dispatch = context.dispatch(routing, experts: experts)
          let layout = SequenceLayout(documentLengths: [t / 3, t - t / 3], in: context)
          trial.note("starts", context.packedStarts(layout, routing, dispatch))
          trial.note("windowed", context.packedStarts(layout, routing, dispatch, window: 7))
          let packed = context.packExperts(x.value, routing, dispatch)
          trial.note("unpacked", context.unpackExperts(packed, routing, dispatch))
          trial.differentiate { [("packed", context.packExperts(x.tensor, routing, dispatch))] }
        },
        ConformanceCase("unpackExperts \(name)") { trial in
          let context = trial.context
          let x = trial.activation([t * topK, dim])
          let logits = trial.weight([t, experts])
          logits.isTrainable = false
          let routing = context.route(
            logits.value, topK: topK, combination: .uniform(weight: 1))
          let dispatch = context.dispatch(routing, experts: experts)
          trial.differentiate { [("y", context.unpackExperts(x.tensor, routing, dispatch))] }
        },
      ]
    }
  }()
}
