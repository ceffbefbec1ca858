import Numerics

extension ConformanceCase {
  /// What devices do in one kernel for a few rows, and in several for more.
  static let fewRows: [ConformanceCase] =
    linearMaps + attentionInputs + mixtureLayers + [routingOfFewAndMany] + largest

  private static let sizes = [
    (1, 64, 13), (1, 31, 7), (2, 2304, 40), (3, 100, 9), (4, 257, 16), (5, 520, 31), (8, 64, 72),
    (9, 40, 24),
  ]

  private static let linearMaps: [ConformanceCase] = sizes.flatMap { t, d, o in
    [false, true].map { isBiased in
      ConformanceCase("few rows T\(t) D\(d) O\(o)\(isBiased ? " bias" : "")") { trial in
        let context = trial.context
        let (x, residual) = (trial.activation([t, d]).value, trial.activation([t, o]).value)
        let norm = RMSNorm(weight_D: trial.weight([d]).value, epsilon: 1e-5)
        let maps = (0..<2).map { _ in trial.map([o, d], isBiased: isBiased) }
        trial.note("added", context.linear(x, maps[0], addedTo: residual))
        trial.note("alone", context.linear(x, maps[0], addedTo: nil))
        trial.note("normed", context.linear(x, norm: norm, maps[0]))
        trial.note("scores", context.linear(x, norm: norm, maps[1], as: trial.small))
        trial.note("swiglu", context.swiglu(x, norm: norm, gate: maps[0], up: maps[1]))
      }
    }
  }

  private static let attentionInputs: [ConformanceCase] = sizes.flatMap { t, d, _ in
    [(4, 2, 3, true), (2, 2, 16, false)].map { heads, keyHeads, half, isBiased in
      ConformanceCase("attentionInput T\(t) D\(d) heads \(heads):\(keyHeads) dim \(2 * half)") {
        trial in
        let context = trial.context
        let (x, dim) = (trial.activation([t, d]).value, 2 * half)
        let norm = RMSNorm(weight_D: trial.weight([d]).value, epsilon: 1e-5)
        func map(_ heads: Int) -> LinearMap { trial.map([heads * dim, d], isBiased: isBiased) }
        let projections = AttentionProjections(
          query: map(heads), key: map(keyHeads), value: map(keyHeads), heads: heads,
          keyHeads: keyHeads,
          inverseFrequencies: context.tensor(
            (0..<half).map { Double(Float(1 / (1 + Double($0) * 3))) }, [half], trial.small))
        // Three tokens are cached before these.
        let positions = context.tensor((0..<Int32(t)).map { $0 + 3 }, [t])
        let cache = (0..<2).map { _ in trial.activation([t + 3, keyHeads * dim]).value }
        for cache in [nil, (cache[0], cache[1])] {
          let input = context.attentionInput(
            x, norm: norm, projections, positions: positions, cache: cache)
          trial.note("query", input.query)
          trial.note("key", input.key)
          trial.note("value", input.value)
        }
      }
    }
  }

  private static let mixtureLayers: [ConformanceCase] = {
    let sizes: [(t: Int, d: Int, i: Int, e: Int, k: Int, shared: Int)] = [
      (1, 64, 24, 8, 2, 0), (3, 40, 16, 5, 2, 8), (8, 37, 7, 40, 3, 5), (2, 520, 9, 70, 8, 0),
      (4, 72, 8, 8, 8, 16), (9, 40, 8, 6, 2, 8), (1, 64, 8, 140, 4, 8), (2, 64, 8, 600, 40, 8),
      (1, 37, 7, 300, 34, 0),
    ]
    let rules: [Combination] = [
      .renormalizedSoftmax(scale: 1.5), .softmax(scale: 2), .gained, .uniform(weight: 0.25),
      .sigmoid(scale: 2), .renormalizedSigmoid(scale: 1.5),
    ]
    return sizes.flatMap { size in
      rules.map { rule in
        let name = "D\(size.d) I\(size.i) E\(size.e) K\(size.k) shared \(size.shared) \(rule)"
        return ConformanceCase("mixtureLayer T\(size.t) \(name)") { trial in
          let context = trial.context
          let x = trial.activation([size.t, size.d]).value
          let shared: (LinearMap, LinearMap, LinearMap)? =
            size.shared == 0
            ? nil
            : (
              trial.map([size.shared, size.d]), trial.map([size.shared, size.d]),
              trial.map([size.d, size.shared])
            )
          // Scores far enough apart that rounding does not change the choice.
          let spread = context.tensor(
            (0..<size.e).map { Double(($0 * 11) % size.e) * 8 }, [size.e], trial.small)
          let layer = MixtureLayer(
            norm: RMSNorm(weight_D: trial.weight([size.d]).value, epsilon: 1e-5),
            router: trial.scoreMap([size.e, size.d], isBiased: true), selectionBias: spread,
            topK: size.k, combination: rule,
            gain: rule == .gained ? trial.weight([size.e]).value : nil,
            gate_EID: trial.matrix([size.e, size.i, size.d]).value,
            up_EID: trial.matrix([size.e, size.i, size.d]).value,
            down_EDI: trial.matrix([size.e, size.d, size.i]).value, shared: shared,
            sharedGate: shared == nil ? nil : trial.weight([1, size.d]).value)
          let (y, routing) = context.mixtureLayer(x, layer, addedTo: x)
          trial.note("y", y)
          trial.note("weights", routing.weights_TK)
          trial.note("probabilities", routing.probabilities_TE)
          trial.note("logits", routing.logits_TE)
          trial.note("counts", routing.counts_E)
          let residual = trial.activation([size.t, size.d]).value
          trial.note("added", context.mixtureLayer(x, layer, addedTo: residual).output)
        }
      }
    }
  }()

  /// Tokens are scored alike by the kernel for a few of them and by those for many. The norm before may
  /// round a value to either neighbour, which is far less than rounding all of them another way.
  private static let routingOfFewAndMany = ConformanceCase("routing of 8 and of 9 rows") { trial in
    let (context, d, e) = (trial.context, 520, 16)
    func experts(_ shape: [Int]) -> Tensor { trial.matrix(shape).value }
    let layer = MixtureLayer(
      norm: RMSNorm(weight_D: trial.weight([d]).value, epsilon: 1e-5),
      router: trial.scoreMap([e, d]), topK: 2, combination: .renormalizedSoftmax(scale: 1),
      gate_EID: experts([e, 8, d]), up_EID: experts([e, 8, d]), down_EDI: experts([e, d, 8]))
    let many = trial.activation([9, d]).value
    let few = many.slice(0..<8)
    let scores = [many, few].map { context.mixtureLayer($0, layer, addedTo: $0).routing.logits_TE }
    let (a, b) = (context.readDoubles(scores[0].slice(0..<8)), context.readDoubles(scores[1]))
    let (distance, size) = zip(a, b).reduce((0, 0)) {
      ($0.0 + ($1.0 - $1.1) * ($1.0 - $1.1), $0.1 + $1.0 * $1.0)
    }
    let agrees: Int32 = distance <= 9e-8 * size ? 1 : 0
    trial.note("agreement", context.tensor([agrees], [1]))
  }

  private static let largest: [ConformanceCase] = [(1, 1), (1, 5000), (3, 77), (1, 128_256)].map {
    r, v in
    ConformanceCase("largest \(r)x\(v)") { trial in
      let context = trial.context
      var values = context.readDoubles(trial.activation([r, v]).value)
      for (name, value) in [
        ("plain", 0), ("tied", 2), ("nan", Double.nan), ("infinite", .infinity),
        ("masked", -.infinity),
      ] {
        for row in 0..<r where name != "plain" {
          for index in [v / 3, v / 2] { values[row * v + index] = value }
        }
        trial.note(name, context.largest(context.tensor(values, [r, v], trial.type)))
      }
    }
  }
}

extension Trial {
  /// A linear map of random weights that activations cannot hold, with scores of about one: larger
  /// ones turn the rounding of what they are made from into several per cent of a probability.
  func scoreMap(_ shape: [Int], isBiased: Bool = false) -> LinearMap {
    let size = Double(shape[1]).squareRoot()
    let weight = parameter(shape, .f32, small) { Double(Float($0 / size)) }.value
    return LinearMap(weight_OI: weight, bias_O: isBiased ? self.weight([shape[0]]).value : nil)
  }

  /// A linear map of random weights.
  func map(_ shape: [Int], isBiased: Bool = false) -> LinearMap {
    let weight = matrix(shape).value
    return LinearMap(weight_OI: weight, bias_O: isBiased ? self.weight([shape[0]]).value : nil)
  }
}
