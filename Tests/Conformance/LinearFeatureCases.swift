import Numerics

extension ConformanceCase {
  /// What prepares the operands of linear attention, over ragged and odd sizes.
  static let linearFeatures: [ConformanceCase] =
    activations + heads + encodings + gates + steps

  private static let activations: [ConformanceCase] = Activation.allCases.flatMap {
    (activation: Activation) -> [ConformanceCase] in
    [(3, 5), (65, 64), (7, 513)].flatMap { (t: Int, d: Int) -> [ConformanceCase] in
      [
        ConformanceCase("activation \(activation.rawValue) \(t)x\(d)") { trial in
          let x = trial.activation([t, d])
          trial.differentiate { [("y", trial.context.activated(x.tensor, activation))] }
        },
        ConformanceCase("gated \(activation.rawValue) \(t)x\(d)") { trial in
          let (x, u) = (trial.activation([t, d]), trial.activation([t, d]))
          trial.differentiate { [("y", trial.context.gated(u.tensor, by: x.tensor, activation))] }
        },
      ]
    }
  }

  private static let heads: [ConformanceCase] = [(1, 1), (65, 64), (7, 33), (300, 128)].flatMap {
    (t: Int, d: Int) -> [ConformanceCase] in
    [
      ConformanceCase("softmax of rows \(t)x\(d)") { trial in
        let x = trial.activation([t, d])
        trial.differentiate { [("y", trial.context.softmax(x.tensor))] }
      },
      ConformanceCase("repeatHeads \(t)x3x\(d)") { trial in
        let x = trial.activation([t, 3 * d])
        trial.differentiate { [("y", trial.context.repeatHeads(x.tensor, dim: d, times: 4))] }
      },
      ConformanceCase("repeatHeads of numbers \(t)x\(d)") { trial in
        let x = trial.activation([t, d])
        trial.differentiate { [("y", trial.context.repeatHeads(x.tensor, dim: 1, times: 70))] }
      },
      ConformanceCase("lowerBound \(t)x\(d)") { trial in
        let table = trial.weight([t, d])
        trial.differentiate {
          [("bound", trial.context.lowerBound(table.tensor, row: t / 2))]
        }
      },
    ]
  }

  private static let encodings: [ConformanceCase] = [(1, 2, 3), (65, 3, 64), (40, 2, 128)].flatMap {
    (t: Int, heads: Int, d: Int) -> [ConformanceCase] in
    [1, heads].map { (rows: Int) -> ConformanceCase in
      ConformanceCase("lrpe T\(t) H\(heads) d\(d) θ\(rows)") { trial in
        let (x, theta) = (trial.activation([t, heads * d]), trial.weight([rows, d]))
        let positions = trial.context.tensor((0..<Int32(t)).map { $0 }, [t])
        trial.differentiate {
          [
            (
              "y",
              trial.context.lrpe(
                x.tensor, theta: theta.tensor, positions: positions, heads: heads)
            )
          ]
        }
      }
    }
  }

  private static let gates: [ConformanceCase] = [(1, 3), (65, 64), (130, 100)].flatMap {
    (t: Int, d: Int) -> [ConformanceCase] in
    [1.0, 16.0].flatMap { (temperature: Double) -> [ConformanceCase] in
      [false, true].map { (hasBound: Bool) -> ConformanceCase in
        ConformanceCase("decayGate \(t)x\(d) τ\(temperature) bound \(hasBound)") { trial in
          let x = trial.activation([t, d])
          let bound = trial.parameter([d], .f32, trial.small) { Double(Float(abs($0) * 0.9)) }
          trial.differentiate {
            let gate = trial.context.decayGate(
              x.tensor, lowerBound: hasBound ? bound.tensor : nil, temperature: temperature,
              givesRest: true)
            return [("log decay", gate.logDecay), ("rest", gate.rest ?? x.tensor)]
          }
          trial.differentiate {
            let gate = trial.context.decayGate(
              x.tensor, lowerBound: hasBound ? bound.tensor : nil, temperature: temperature,
              givesRest: true)
            return [("rest", gate.rest ?? x.tensor)]
          }
        }
      }
    }
  }

  /// Of a bias that steps of 0.001 to 0.1 begin with, in full precision with activations of any type.
  private static let steps: [ConformanceCase] = [(1, 5, 3), (65, 64, 63), (130, 96, 200)].map {
    (t: Int, i: Int, o: Int) -> ConformanceCase in
    ConformanceCase("selectiveStep T\(t) I\(i) O\(o)") { trial in
      let (x, w) = (trial.activation([t, i]), trial.matrix([o, i]))
      let (down, up) = (trial.matrix([2, i]), trial.matrix([o, 2]))
      let b = trial.parameter([o], .f32, trial.small) { Double(Float($0 * 2 - 5)) }
      let plain = LinearMap(weight_OI: w.value, bias_O: b.value)
      trial.note("steps", trial.context.selectiveStep(x.value, plain), as: .full)
      trial.differentiate {
        let addition = LowRankMap(down_RI: down.tensor, up_OR: up.tensor, scale: 0.5)
        let map = LinearMap(weight_OI: w.tensor, bias_O: b.tensor, addition: addition)
        return [("with an addition", trial.context.selectiveStep(x.tensor, map))]
      }
    }
  }
}
