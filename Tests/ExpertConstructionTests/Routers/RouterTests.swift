import Glibc
import Numerics
import TestSupport
import Testing

@testable import ExpertConstruction

@Suite struct RouterTests {
  @Test func ridgeRecoversAPlantedLinearRelation() throws {
    let context = try Context()
    let (tokens, inputs, outputs) = (400, 9, 4)
    var random = RandomStream(seed: 2)
    let x = random.normal(tokens * inputs).map { $0 + 3 }
    let weight = random.normal(outputs * inputs)
    let bias = random.normal(outputs)
    let x_TD = context.tensor(x, [tokens, inputs])
    let y_TE = context.linear(
      x_TD, weight: context.tensor(weight, [outputs, inputs]),
      bias: context.tensor(bias, [outputs]))
    let fit = try RidgeRegression(
      inputs_TD: x_TD, relativeRidge: 1e-9, intercept: true, context: context
    ).solve(targets_TE: y_TE)
    #expect(relativeError(fit.weight_ED, weight.map(Double.init)) < 1e-4)
    #expect(relativeError(fit.bias_E, bias.map(Double.init)) < 1e-3)
  }

  /// With up = (gate's sign pattern) the expert norms are nearly linear in |x|; the router must pick
  /// the expert with the largest weighted activation norm on most tokens.
  @Test(arguments: [true, false])
  func regressedRouterPicksTheStrongestExpert(allowsBias: Bool) throws {
    let context = try Context()
    let geometry = try SplitGeometry(width: 32, experts: 4, topK: 1, shared: 0)
    var random = RandomStream(seed: 4)
    // Neuron n of expert e reads feature e only; features are non-negative, so norms grow with them.
    var rows = [Float](repeating: 0, count: 32 * 4)
    for neuron in 0..<32 { rows[neuron * 4 + neuron / 8] = 2 + Float(random.uniform()) }
    let x = (0..<300 * 4).map { _ in Float(random.uniform()) }
    let weights = MLPWeights(
      gate_ID: context.tensor(rows, [32, 4]), up_ID: context.tensor(rows, [32, 4]),
      down_DI: context.tensor(random.normal(128), [4, 32]))
    let layer = LayerUnderConstruction(
      index: 0, geometry: geometry, weights: weights,
      inputs: RecordedInputs(context.tensor(x, [300, 4])), seed: 1, context: context)
    let split = try SequentialStrategy().split(layer)
    let router = try RegressedRouter().router(for: layer, split, allowsBias: allowsBias)
    #expect((router.bias_E != nil) == allowsBias)
    #expect(try accuracy(router, layer, split) > (allowsBias ? 0.85 : 0.75))
  }

  @Test func centroidBiasMakesTheLargestScoreTheNearestCentre() throws {
    let context = try Context()
    let geometry = try SplitGeometry(width: 24, experts: 3, topK: 1, shared: 0)
    let layer = randomLayer(context, geometry: geometry, hidden: 6, tokens: 90)
    let split = try SequentialStrategy().split(layer)
    let router = try CentroidRouter().router(for: layer, split, allowsBias: true)
    let bias = try #require(router.bias_E)
    for expert in 0..<3 {
      let centre = router.weight_ED[expert * 6..<(expert + 1) * 6]
      #expect(abs(bias[expert] + 0.5 * centre.reduce(0) { $0 + $1 * $1 }) < 1e-5)
    }
    let plain = try CentroidRouter().router(for: layer, split, allowsBias: false)
    #expect(plain.bias_E == nil)
    let norms = (0..<3).map { expert in
      plain.weight_ED[expert * 6..<(expert + 1) * 6].reduce(0) { $0 + $1 * $1 }
    }
    #expect(abs(norms[0] - norms[1]) < 1e-3 * norms[0])
    #expect(abs(norms[0] - norms[2]) < 1e-3 * norms[0])
  }

  @Test func centroidWithoutInputsIsTheMeanGateRow() throws {
    let context = try Context()
    let geometry = try SplitGeometry(width: 8, experts: 2, topK: 1, shared: 0)
    let layer = randomLayer(context, geometry: geometry, hidden: 3)
    let router = try CentroidRouter().router(
      for: layer, try SequentialStrategy().split(layer), allowsBias: true)
    let gate = context.read(layer.weights.gate_ID)
    let expected = (0..<3).map { column in
      (4..<8).reduce(Float(0)) { $0 + gate[$1 * 3 + column] } / 4
    }
    for column in 0..<3 { #expect(abs(router.weight_ED[3 + column] - expected[column]) < 1e-6) }
    #expect(router.bias_E == nil)
  }

  /// Experts no wider than the rank lose nothing: scores are the lengths of their weighted gate and
  /// up pre-activations. Wider ones score less, never more.
  @Test(arguments: [2, 24]) func spectralScoresAreLengthsOfPreActivations(width: Int) throws {
    let context = try Context()
    let (experts, hidden, tokens) = (3, 7, 50)
    let geometry = try SplitGeometry(width: experts * width, experts: experts, topK: 1, shared: 0)
    var random = RandomStream(seed: 5)
    func matrix(_ rows: Int, _ columns: Int) -> Tensor {
      context.tensor(random.normal(rows * columns), [rows, columns])
    }
    let weights = MLPWeights(
      gate_ID: matrix(experts * width, hidden), up_ID: matrix(experts * width, hidden),
      down_DI: matrix(hidden, experts * width))
    let x_TD = matrix(tokens, hidden)
    let layer = LayerUnderConstruction(
      index: 0, geometry: geometry, weights: weights, inputs: RecordedInputs(x_TD), seed: 1,
      context: context)
    let split = try RandomStrategy().split(layer)
    let router = try SpectralRouter().router(for: layer, split, allowsBias: true)
    #expect(router.rank == max(2, width / 8))
    #expect(router.weight_ED.count == experts * router.rank * hidden)
    let scores = context.readDoubles(router.scores(x_TD, context))
    let gate = context.readDoubles(context.linear(x_TD, weight: weights.gate_ID))
    let up = context.readDoubles(context.linear(x_TD, weight: weights.up_ID))
    let sizes = weights.downColumnNorms(context)
    let open = (0..<experts * width).map { neuron in
      (0..<tokens).map { pow(1 / (1 + exp(-gate[$0 * experts * width + neuron])), 2) }
        .reduce(0, +) / Double(tokens)
    }
    for token in 0..<tokens {
      for (expert, neurons) in split.experts.enumerated() {
        let places = neurons.map { (token * experts * width + Int($0), Int($0)) }
        let a = places.map { pow(gate[$0.0], 2) * open[$0.1] }.reduce(0, +).squareRoot()
        let b = places.map { pow(up[$0.0] * Double(sizes[$0.1]), 2) }.reduce(0, +).squareRoot()
        let score = scores[token * experts + expert]
        #expect(score <= a * b * 1.0001)
        if width == 2 { #expect(abs(score - a * b) < 1e-4 * max(1, a * b)) }
      }
    }
  }

  /// In a layer whose experts are copies of one neuron at different gains, that neuron tells all: the
  /// analytic router ranks experts as their norms do.
  @Test func analyticRouterRanksExpertsOfOneNeuronEach() throws {
    let context = try Context()
    let (experts, copies, hidden) = (4, 3, 5)
    let geometry = try SplitGeometry(width: experts * copies, experts: experts, topK: 1, shared: 0)
    var random = RandomStream(seed: 12)
    let rows = (0..<2 * experts).map { _ in random.normal(hidden) }
    var (gate, up, down) = (
      [Float](), [Float](), [Float](repeating: 0, count: hidden * experts * copies)
    )
    for neuron in 0..<experts * copies {
      gate += rows[neuron / copies]
      up += rows[experts + neuron / copies].map { $0 * Float(1 + neuron % copies) }
      down[neuron] = Float(1 + neuron / copies)
    }
    let weights = MLPWeights(
      gate_ID: context.tensor(gate, [experts * copies, hidden]),
      up_ID: context.tensor(up, [experts * copies, hidden]),
      down_DI: context.tensor(down, [hidden, experts * copies]))
    let x = random.normal(200 * hidden)
    let layer = LayerUnderConstruction(
      index: 0, geometry: geometry, weights: weights,
      inputs: RecordedInputs(context.tensor(x, [200, hidden])), seed: 1, context: context)
    let split = try SequentialStrategy().split(layer)
    let router = try AnalyticRouter().router(for: layer, split, allowsBias: true)
    #expect(router.bias_E == nil && router.up_ED?.count == router.weight_ED.count)
    let record = try layer.activations()
    let norms = context.read(record.expertEnergy(split)).map { Double($0.squareRoot()) }
    #expect(relativeError(context.read(router.scores(record.x_TD, context)), norms) < 1e-3)
    let block = MixtureBlock(
      geometry: geometry, rule: .gained, scale: 1, hasRouterBias: false, routerKind: .gatedPair)
    #expect(try RoutedLayer(layer, split, router, block).missedShare(nil) < 1)
  }

  /// Inputs in well separated heaps: every heap's mean is one row, and no row has a bias.
  @Test func kMeansRouterFindsPlantedCentres() throws {
    let context = try Context()
    let geometry = try SplitGeometry(width: 12, experts: 3, topK: 1, shared: 0)
    var random = RandomStream(seed: 5)
    let centres: [[Float]] = [[9, 0, 0, 0], [0, 9, 0, 0], [0, 0, 9, 1]]
    let x = (0..<90).flatMap { token in
      zip(centres[token % 3], random.normal(4)).map { $0 + 0.1 * $1 }
    }
    let plain = randomLayer(context, geometry: geometry, hidden: 4)
    let layer = LayerUnderConstruction(
      index: 0, geometry: geometry, weights: plain.weights,
      inputs: RecordedInputs(context.tensor(x, [90, 4])), seed: 1, context: context)
    let router = try KMeansRouter().router(
      for: layer, try SequentialStrategy().split(layer), allowsBias: true)
    #expect(router.bias_E == nil)
    let rows = (0..<3).map { Array(router.weight_ED[$0 * 4..<($0 + 1) * 4]) }
    for centre in centres {
      #expect(rows.contains { zip($0, centre).allSatisfy { abs($0 - $1) < 0.2 } }, "\(centre)")
    }
  }

  /// Every token ranks the experts alike, so that a threshold keeps a prefix of importance.
  @Test func prefixRouterKeepsPrefixes() throws {
    let context = try Context()
    let geometry = try SplitGeometry(width: 24, experts: 6, topK: 6, shared: 0)
    let layer = randomLayer(context, geometry: geometry, hidden: 6, tokens: 150)
    let split = try NestedStrategy().split(layer)
    let importance = try layer.activations().importance_I
    let least = split.experts.map { $0.map { importance[Int($0)] }.min() ?? 0 }
    let most = split.experts.map { $0.map { importance[Int($0)] }.max() ?? 0 }
    #expect(zip(least, most.dropFirst()).allSatisfy { $0 >= $1 })
    let router = try PrefixRouter().router(for: layer, split, allowsBias: true)
    let routing = context.route(
      router.scores(try layer.activations().x_TD, context), topK: 6,
      combination: .uniform(weight: 1))
    let threshold = try ScoreThreshold.keeping(3, router, layer)
    let kept = context.readIntegers(context.keeping(routing, atLeast: threshold).experts_TK)
    let first = Array(kept.prefix(6))
    let order = context.readIntegers(routing.experts_TK).prefix(6)
    var lengths: Set<Int> = []
    for start in stride(from: 0, to: kept.count, by: 6) {
      let length = kept[start..<start + 6].count { $0 >= 0 }
      #expect(Array(kept[start..<start + length]) == Array(order.prefix(length)))
      lengths.insert(length)
    }
    #expect(lengths.count > 1 && first[0] == order.first)
  }

  /// The threshold gives the wanted mean, and a larger mean a lower threshold.
  @Test func thresholdsKeepTheWantedMean() throws {
    let context = try Context()
    let geometry = try SplitGeometry(width: 24, experts: 6, topK: 4, shared: 0)
    let layer = randomLayer(context, geometry: geometry, hidden: 6, tokens: 120)
    let router = try RegressedRouter().router(
      for: layer, try SequentialStrategy().split(layer), allowsBias: true)
    let scores = router.scores(try layer.activations().x_TD, context)
    let routing = context.route(scores, topK: 4, combination: .uniform(weight: 1))
    var last = Double.infinity
    for mean in [1, 1.5, 2.25, 4] {
      let threshold = try ScoreThreshold.keeping(mean, router, layer)
      let kept = context.keeping(routing, atLeast: threshold)
      let used = context.readIntegers(kept.counts_E).reduce(0, +)
      #expect(abs(Double(used) / 120 - mean) < 0.01, "\(mean)")
      #expect(threshold < last)
      last = threshold
    }
  }

  @Test func randomRouterIsSeededAndBounded() throws {
    let context = try Context()
    let geometry = try SplitGeometry(width: 8, experts: 4, topK: 1, shared: 0)
    func rows(_ seed: UInt64) throws -> [Float] {
      let layer = randomLayer(context, geometry: geometry, hidden: 16, seed: seed)
      return try RandomRouter().router(
        for: layer, try SequentialStrategy().split(layer), allowsBias: true
      ).weight_ED
    }
    let first = try rows(1)
    #expect(first.allSatisfy { abs($0) <= 0.25 })
    #expect((first.max() ?? 0) > 0.15)
    #expect(try first == rows(1))
    #expect(try first != rows(2))
  }

  private func accuracy(_ router: Router, _ layer: LayerUnderConstruction, _ split: NeuronSplit)
    throws -> Double
  {
    let context = layer.context
    let record = try layer.activations()
    let experts = split.experts.count
    let energy = context.read(record.expertEnergy(split))
    let scores = context.read(
      context.linear(
        record.x_TD, weight: context.tensor(router.weight_ED, [experts, record.x_TD.columns])))
    var right = 0
    for start in stride(from: 0, to: energy.count, by: experts) {
      let row = (start..<start + experts).map { scores[$0] + (router.bias_E?[$0 - start] ?? 0) }
      right +=
        topIndices(row[...], 1)[0] == topIndices(energy[start..<start + experts], 1)[0] - start
        ? 1 : 0
    }
    return Double(right) / Double(energy.count / experts)
  }
}
