import Numerics

extension ConformanceCase {
  /// Training with 8-bit moments and 16-bit weights.
  static let lowMemory: [ConformanceCase] =
    [1, 7, 255, 256, 1000, 70001].flatMap { n in
      [adamW8Bit(n, isHalf: false), adamW8Bit(n, isHalf: true)]
    } + [(1, 8, 24), (5, 33, 7), (65, 64, 200)].flatMap { t, i, o in halfWeights(t, i, o) }

  /// One step from a state like one in the middle of training, the same in the reference: later ones
  /// would start from codes of which a few differ.
  private static func adamW8Bit(_ n: Int, isHalf: Bool) -> ConformanceCase {
    ConformanceCase("adamW8Bit \(n)\(isHalf ? " 16-bit" : "")") { trial in
      let context = trial.context
      let start = trial.halfMatrix([n]).value
      let value = context.cast(start, to: isHalf ? .bf16 : trial.small)
      let gradient = trial.weight([n]).value
      let blocks = QuantizedMoment.scaleCount(n)
      func moment(_ size: Double) -> QuantizedMoment {
        // A block of zeros, and one far from the others.
        let scales = (0..<blocks).map { $0 % 3 == 1 ? 0 : $0 % 3 == 2 ? size * 1e-6 : size }
        return QuantizedMoment(
          codes: trial.codes(n), scales: context.tensor(scales, [blocks], .f32))
      }
      let (m, v) = (moment(0.3), moment(0.2))
      context.adamW8Bit(
        value: value, gradient: gradient, moment1: m, moment2: v, step: 3, learningRate: 1e-2,
        beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1,
        gradientScale: context.tensor([0.4], [], trial.small), rounding: 0x1234_5678_9abc_def0)
      if isHalf { trial.noteRounded("value", value) } else { trial.note("value", value) }
      for (name, moment) in [("m", m), ("v", v)] {
        trial.noteRounded("\(name) codes", moment.codes)
        trial.note("\(name) scales", moment.scales)
      }
    }
  }

  /// Operations whose weights are in 16 bits while they train: the gradients are not.
  private static func halfWeights(_ t: Int, _ i: Int, _ o: Int) -> [ConformanceCase] {
    [
      ConformanceCase("linear 16-bit T\(t) I\(i) O\(o)") { trial in
        let (x, w, b) = (trial.activation([t, i]), trial.halfMatrix([o, i]), trial.weight([o]))
        trial.differentiate {
          [("y", trial.context.linear(x.tensor, weight: w.tensor, bias: b.tensor))]
        }
      },
      ConformanceCase("embedding 16-bit T\(t) D\(i)") { trial in
        let table = trial.halfMatrix([o, i])
        let ids = trial.context.tensor(trial.integers(t, below: min(5, o)), [t])
        trial.differentiate { [("y", trial.context.embedding(ids, weight: table.tensor))] }
      },
      ConformanceCase("linearCrossEntropy 16-bit T\(t) V\(o) D\(i)") { trial in
        let (x, w) = (trial.activation([t, i]), trial.halfMatrix([o, i]))
        let ids = trial.context.tensor(trial.integers(t, below: o), [t])
        let weights = trial.context.tensor(
          (0..<t).map { Double($0 % 3) / 4 + 0.25 }, [t], trial.small)
        trial.differentiate {
          let loss = trial.context.linearCrossEntropy(
            x.tensor, weight: w.tensor, targets: ids, lossWeights: weights)
          return [("total", loss.total), ("ce", loss.crossEntropy_T)]
        }
      },
    ]
  }
}
