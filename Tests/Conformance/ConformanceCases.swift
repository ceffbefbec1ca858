import Numerics

extension ConformanceCase {
  /// Every operation over ragged and odd sizes.
  public static var all: [ConformanceCase] {
    linear + rows + losses + routing + routers + mixtures + attention + [nothingNew]
      + linearAttention + deltaRule + linearFeatures
      + attentionMixtures + fewRows + optimizer
      + lowMemory + construction
  }

  private static let linear: [ConformanceCase] =
    [(1, 1, 1), (3, 5, 7), (65, 64, 63), (1, 96, 200), (130, 256, 72)].flatMap { t, i, o in
      [
        ConformanceCase("linear T\(t) I\(i) O\(o)") { trial in
          let (x, w, b) = (trial.activation([t, i]), trial.matrix([o, i]), trial.weight([o]))
          trial.differentiate {
            [("y", trial.context.linear(x.tensor, weight: w.tensor, bias: b.tensor))]
          }
        },
        ConformanceCase("scores T\(t) I\(i) O\(o)") { trial in
          let (x, w, b) = (trial.activation([t, i]), trial.weight([o, i]), trial.weight([o]))
          func map(_ w: Tensor, _ b: Tensor) -> LinearMap { LinearMap(weight_OI: w, bias_O: b) }
          trial.note("scores", trial.context.scores(x.value, map(w.value, b.value)), as: .full)
          trial.differentiate { [("y", trial.context.scores(x.tensor, map(w.tensor, b.tensor)))] }
        },
        ConformanceCase("linear with an addition T\(t) I\(i) O\(o)") { trial in
          let (x, w) = (trial.activation([t, i]), trial.matrix([o, i]))
          let (down, up) = (trial.matrix([3, i]), trial.matrix([o, 3]))
          func map(_ p: [Tensor]) -> LinearMap {
            LinearMap(
              weight_OI: p[0], addition: LowRankMap(down_RI: p[1], up_OR: p[2], scale: 0.5))
          }
          let parts = [w, down, up]
          trial.note("inference", trial.context.linear(x.value, map(parts.map(\.value))))
          trial.differentiate {
            [("y", trial.context.linear(x.tensor, map(parts.map(\.tensor))))]
          }
          let merged = trial.matrix([o, i]).value
          if let addition = map(parts.map(\.value)).addition {
            trial.context.merge(addition, into: merged)
          }
          trial.note("merged", merged)
        },
        ConformanceCase("linear to statistics T\(t) I\(i) O\(o)") { trial in
          let (x, w) = (trial.activation([t, i]), trial.matrix([o, i]))
          trial.differentiate {
            [("y", trial.context.linear(x.tensor, weight: w.tensor, as: trial.small))]
          }
        },
      ]
    }

  private static let rows: [ConformanceCase] = [(1, 8), (63, 32), (65, 100), (7, 513), (300, 512)]
    .flatMap { t, d in
      [
        ConformanceCase("rmsNorm \(t)x\(d)") { trial in
          let (x, w) = (trial.activation([t, d]), trial.weight([d]))
          trial.differentiate {
            [("y", trial.context.rmsNorm(x.tensor, weight: w.tensor, epsilon: 1e-5))]
          }
        },
        ConformanceCase("add \(t)x\(d)") { trial in
          let (x, y) = (trial.activation([t, d]), trial.activation([t, d]))
          trial.differentiate { [("y", trial.context.add(x.tensor, y.tensor))] }
        },
        ConformanceCase("bias \(t)x\(d)") { trial in
          let (x, b) = (trial.activation([t, d]), trial.weight([d]))
          trial.differentiate { [("y", trial.context.add(x.tensor, bias: b.tensor))] }
        },
        ConformanceCase("subtract \(t)x\(d)") { trial in
          let (x, y) = (trial.activation([t, d]), trial.activation([t, d]))
          trial.differentiate { [("y", trial.context.subtract(x.tensor, y.tensor))] }
        },
        ConformanceCase("swiglu \(t)x\(d)") { trial in
          let (x, y) = (trial.activation([t, d]), trial.activation([t, d]))
          trial.differentiate { [("y", trial.context.swiglu(gate: x.tensor, up: y.tensor))] }
        },
        ConformanceCase("sigmoidGate \(t)x\(d)") { trial in
          let (x, s) = (trial.activation([t, d]), trial.weight([t]))
          trial.differentiate { [("y", trial.context.sigmoidGate(x.tensor, scores: s.tensor))] }
        },
        ConformanceCase("embedding T\(t) V50 D\(d)") { trial in
          let table = trial.matrix([50, d])
          // Few distinct ids, so that most rows of the gradient have several tokens.
          let ids = trial.context.tensor(trial.integers(t, below: 9), [t])
          trial.differentiate { [("y", trial.context.embedding(ids, weight: table.tensor))] }
        },
        ConformanceCase("rope T\(t) heads 3 dim \(2 * (d / 8 + 1))") { trial in
          let half = d / 8 + 1
          let x = trial.activation([t, 3 * 2 * half])
          let positions = trial.context.tensor((0..<Int32(t)).map { $0 * 7 }, [t])
          let frequencies = trial.context.tensor(
            (0..<half).map { Double(Float(1 / (1 + Double($0) * 3))) }, [half], trial.small)
          trial.differentiate {
            [
              (
                "y",
                trial.context.rope(
                  x.tensor, positions: positions, inverseFrequencies: frequencies, heads: 3)
              )
            ]
          }
        },
        ConformanceCase("relativeSquaredError \(t)x\(d)") { trial in
          let (x, y) = (trial.activation([t, d]), trial.activation([t, d]))
          trial.differentiate {
            [("loss", trial.context.relativeSquaredError(x.tensor, target: y.tensor))]
          }
        },
      ]
    }

  private static let losses: [ConformanceCase] = [
    (1, 2, 4), (63, 100, 16), (65, 1000, 40), (300, 8192, 64),
  ]
  .flatMap { t, v, d in
    [false, true].map { hasTeacher in
      ConformanceCase("linearCrossEntropy T\(t) V\(v) D\(d)\(hasTeacher ? " teacher" : "")") {
        trial in
        let (x, w) = (trial.activation([t, d]), trial.matrix([v, d]))
        let (other, head) = (trial.activation([t, d]), trial.matrix([v, d]))
        other.isTrainable = false
        head.isTrainable = false
        // One target outside the vocabulary carries no loss.
        var targets = trial.integers(t, below: v)
        targets[t / 2] = t > 1 ? -1 : 0
        let ids = trial.context.tensor(targets, [t])
        let weights = trial.context.tensor(
          (0..<t).map { Double($0 % 3) / 4 + 0.25 }, [t], trial.small)
        let followed = trial.context.tensor(
          (0..<t).map { Double($0 % 4) / 4 }, [t], trial.small)
        trial.differentiate {
          let loss = trial.context.linearCrossEntropy(
            x.tensor, weight: w.tensor, targets: ids, lossWeights: weights,
            distillationWeights: followed, teacher: hasTeacher ? (other.tensor, head.tensor) : nil,
            crossEntropy: 0.3,
            distillation: hasTeacher ? 0.7 : 0)
          return [("total", loss.total), ("ce", loss.crossEntropy_T)]
            + (loss.divergence_T.map { [("kl", $0)] } ?? [])
        }
        let statistics = trial.context.tokenStatistics(
          x.value, weight: w.value, targets: ids,
          teacher: hasTeacher ? (other.value, head.value) : nil)
        trial.note("statistics ce", statistics.crossEntropy_T)
        if let kl = statistics.divergence_T { trial.note("statistics kl", kl) }
      }
    }
  }

  private static let routing: [ConformanceCase] =
    [(1, 4, 1), (63, 7, 2), (65, 64, 8), (1000, 8, 2), (300, 300, 16)].flatMap { t, e, k in
      [
        (Combination.renormalizedSoftmax(scale: 1.5), "renormalized"),
        (.softmax(scale: 2), "softmax"), (.gained, "gained"), (.uniform(weight: 0.25), "uniform"),
        (.sigmoid(scale: 2), "sigmoid"),
        (.renormalizedSigmoid(scale: 1.5), "renormalized sigmoid"),
      ].map { rule, name in
        ConformanceCase("route T\(t) E\(e) K\(k) \(name)") { trial in
          let (logits, gain) = (trial.steps([t, e]), trial.weight([e]))
          // Sigmoids are rounded; biases farther apart than they reach leave no near ties.
          let step = name.hasSuffix("sigmoid") ? 4 : 1 / 8.0
          let bias = trial.context.tensor(
            (0..<e).map { Double($0 % 5) * step }, [e], trial.small)
          trial.differentiate {
            let routing = trial.context.route(
              logits.tensor, selectionBias: bias, topK: k, combination: rule,
              gain: rule == .gained ? gain.tensor : nil)
            let dispatch = trial.context.dispatch(routing, experts: e)
            let z = trial.context.routerZLoss(logits.tensor)
            let balance = trial.context.loadBalanceLoss(routing, experts: e, topK: k)
            let target = trial.context.zeros(routing.weights_TK.shape, trial.small)
            let total = trial.context.weightedSum([
              (1, trial.context.meanSquaredError(routing.weights_TK, target: target)), (0.5, z),
              (0.1, balance),
            ])
            return [
              ("total", total), ("weights", routing.weights_TK),
              ("probabilities", routing.probabilities_TE), ("experts", routing.experts_TK),
              ("counts", routing.counts_E), ("order", dispatch.order),
              ("offsets", dispatch.offsets), ("z", z), ("balance", balance),
            ]
          }
          let moved = trial.context.tensor((0..<e).map { Double($0) }, [e], trial.small)
          let routing = trial.context.route(
            logits.value, topK: k, combination: .uniform(weight: 1))
          trial.context.updateSelectionBias(moved, counts: routing.counts_E, rate: 0.5)
          trial.note("moved bias", moved)
        }
      }
    }

  private static let optimizer: [ConformanceCase] = [1, 63, 1000, 70001].map { n in
    ConformanceCase("adamW \(n)") { trial in
      let value = trial.weight([n]).value
      let gradient = trial.weight([n]).value
      let (m, v) = (trial.context.zeros([n], trial.small), trial.context.zeros([n], trial.small))
      let norm = trial.context.globalNorm([gradient, value, gradient])
      let factor = trial.context.clipFactor(norm: norm, maximum: 0.5)
      for step in 1...3 {
        trial.context.adamW(
          value: value, gradient: gradient, moment1: m, moment2: v, step: step,
          learningRate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1,
          gradientScale: factor)
      }
      for (name, tensor) in [
        ("norm", norm), ("factor", factor), ("value", value), ("m", m), ("v", v),
      ] {
        trial.note(name, tensor)
      }
    }
  }
}
