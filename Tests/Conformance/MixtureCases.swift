import Numerics

extension ConformanceCase {
  /// Layers of experts: tokens, model, width, experts, top-k, an expert all choose, one none chooses.
  static let mixtures: [ConformanceCase] = {
    let sizes: [Size] = [
      (1, 3, 2, 1, 1, nil, nil), (1, 64, 32, 8, 2, nil, nil), (4, 512, 64, 28, 4, nil, 3),
      (6, 5, 7, 4, 2, nil, 1), (63, 40, 24, 5, 1, 2, nil), (65, 64, 48, 8, 2, nil, 0),
      (200, 128, 56, 64, 8, 63, 0), (700, 96, 136, 3, 3, nil, nil), (1000, 64, 64, 16, 1, 4, nil),
      (1000, 264, 136, 2, 2, nil, nil), (300, 64, 28, 64, 16, nil, 5),
    ]
    return sizes.flatMap { size in
      [mixture(size, isHalf: false), mixture(size, isHalf: true)]
    }
  }()

  private typealias Size = (t: Int, d: Int, i: Int, e: Int, k: Int, all: Int?, none: Int?)

  private static func mixture(_ size: Size, isHalf: Bool) -> ConformanceCase {
    let name = "mixture T\(size.t) D\(size.d) I\(size.i) E\(size.e) K\(size.k)"
    return ConformanceCase(name + (isHalf ? " 16-bit" : "")) { trial in
      let context = trial.context
      let x = trial.activation([size.t, size.d])
      func matrix(_ shape: [Int]) -> Parameter {
        isHalf ? trial.halfMatrix(shape) : trial.matrix(shape)
      }
      let gate = matrix([size.e, size.i, size.d])
      let up = matrix([size.e, size.i, size.d])
      let down = matrix([size.e, size.d, size.i])
      let weights = trial.weight([size.t, size.k])
      let logits = trial.weight([size.t, size.e])
      logits.isTrainable = false
      var bias = [Double](repeating: 0, count: size.e)
      if let all = size.all { bias[all] = 9 }
      if let none = size.none { bias[none] = -9 }
      let routing = context.route(
        logits.value, selectionBias: context.tensor(bias, [size.e], trial.small), topK: size.k,
        combination: .uniform(weight: 1))
      let dispatch = context.dispatch(routing, experts: size.e)
      func layer(_ p: [Tensor]) -> Tensor {
        context.mixtureOfExperts(
          p[0], gate: p[1], up: p[2], down: p[3], dispatch: dispatch, weights: p[4])
      }
      let parameters = [x, gate, up, down, weights]
      trial.note("inference", layer(parameters.map(\.value)))
      trial.differentiate { [("y", layer(parameters.map(\.tensor)))] }
    }
  }
}
