import Numerics

extension ConformanceCase {
  /// What routers besides linear ones are made of, and layers some of whose choices are dropped.
  static let routers: [ConformanceCase] = [(1, 4, 2), (63, 7, 3), (300, 64, 8)].flatMap {
    t, e, k in
    [
      ConformanceCase("absolute \(t)x\(e)") { trial in
        let x = trial.weight([t, e])
        trial.differentiate { [("y", trial.context.absolute(x.tensor))] }
      },
      ConformanceCase("lengthProduct \(t)x\(e)") { trial in
        let (a, b) = (trial.weight([t, 5 * e]), trial.weight([t, 5 * e]))
        trial.differentiate {
          [("y", trial.context.lengthProduct(a.tensor, b.tensor, groups: e))]
        }
      },
      ConformanceCase("tanh \(t)x\(e)") { trial in
        let x = trial.weight([t, e])
        trial.differentiate { [("y", trial.context.tanh(x.tensor))] }
      },
      ConformanceCase("mixtureLayer by other routers T\(t) E\(e) K\(k)") { trial in
        let context = trial.context
        let x = trial.activation([t, 37]).value
        // Scores far enough apart that rounding does not change the choice.
        let spread = context.tensor(
          (0..<e).map { Double(($0 * 11) % e) * 8 }, [e], trial.small)
        for isDeep in [false, true] {
          let layer = MixtureLayer(
            norm: RMSNorm(weight_D: trial.weight([37]).value, epsilon: 1e-5),
            router: trial.scoreMap(isDeep ? [e, e] : [e, 37]),
            routerHidden: isDeep ? trial.scoreMap([e, 37]) : nil,
            routerUp: isDeep ? nil : trial.scoreMap([e, 37]), selectionBias: spread, topK: k,
            combination: .softmax(scale: 2), gate_EID: trial.matrix([e, 12, 37]).value,
            up_EID: trial.matrix([e, 12, 37]).value, down_EDI: trial.matrix([e, 37, 12]).value)
          let (y, routing) = context.mixtureLayer(x, layer, addedTo: x)
          trial.note("y", y)
          trial.note("weights", routing.weights_TK)
          trial.note("counts", routing.counts_E)
        }
      },
      ConformanceCase("noisy \(t)x\(e)") { trial in
        let (scores, spread) = (trial.weight([t, e]), trial.weight([t, e]))
        let noise = trial.weight([t, e])
        noise.isTrainable = false
        trial.differentiate {
          [
            (
              "y",
              trial.context.noisy(
                scores.tensor, noise: noise.value, spread: spread.tensor, least: 0.25)
            ),
            ("plain", trial.context.noisy(scores.tensor, noise: noise.value, least: 0.5)),
          ]
        }
      },
      ConformanceCase("jittered \(t)x\(37 * e)") { trial in
        let x = trial.activation([t, 37 * e])
        trial.differentiate {
          [
            ("y", trial.context.jittered(x.tensor, by: 0.5, seed: 0xfeed_face_dead_beef)),
            ("again", trial.context.jittered(x.tensor, by: 1, seed: 1)),
          ]
        }
      },
      ConformanceCase("mixture keeping T\(t) E\(e) K\(k)") { trial in
        let context = trial.context
        let (x, logits) = (trial.activation([t, 40]), trial.steps([t, e]))
        let (gate, up) = (trial.matrix([e, 24, 40]), trial.matrix([e, 24, 40]))
        let down = trial.matrix([e, 40, 24])
        func layer(_ p: [Tensor]) -> (y: Tensor, routing: Routing) {
          let routing = context.keeping(
            context.route(p[1], topK: k, combination: .softmax(scale: 2)), atLeast: 0.6)
          let y = context.mixtureOfExperts(
            p[0], gate: p[2], up: p[3], down: p[4],
            dispatch: context.dispatch(routing, experts: e), weights: routing.weights_TK)
          return (y, routing)
        }
        let parameters = [x, logits, gate, up, down]
        trial.note("inference", layer(parameters.map(\.value)).y)
        trial.differentiate {
          let (y, routing) = layer(parameters.map(\.tensor))
          return [
            ("y", y), ("experts", routing.experts_TK), ("counts", routing.counts_E),
            ("weights", routing.weights_TK),
          ]
        }
      },
    ]
  }
}
