import Numerics
import Testing

@testable import ExpertConstruction

@Suite struct StrategyTests {
  /// Geometries drawn at random; every strategy must give units of exactly equal width, and unless
  /// it says otherwise every neuron once.
  @Test(arguments: StrategyName.allCases)
  func everySplitIsAnExactPartition(name: StrategyName) throws {
    let context = try Context()
    var random = RandomStream(seed: 11)
    for round in 0..<12 {
      let experts = 1 + random.index(below: 6)
      let shared = name.shared(near: random.index(below: 3))
      let geometry = try SplitGeometry(
        width: (experts + shared) * (1 + random.index(below: 7)), experts: experts,
        topK: 1 + random.index(below: experts), shared: shared, form: name.make().form)
      // Some widths are too small for what a strategy does.
      guard name.make().refusal(of: geometry) == nil else { continue }
      let layer = randomLayer(
        context, geometry: geometry, hidden: 1 + random.index(below: 9), tokens: 20,
        seed: UInt64(round), dtype: round % 2 == 0 ? .f32 : .bf16)
      let split = try name.make().split(layer)
      if geometry.form == .pruned {
        #expect(split.shared.count == geometry.activeWidth && split.experts.isEmpty)
        continue
      }
      #expect(split.shared.count == geometry.sharedWidth)
      #expect(split.experts.map(\.count) == Array(repeating: geometry.expertWidth, count: experts))
      guard geometry.form == .partition else { continue }
      let all = (split.shared + split.experts.joined()).sorted()
      #expect(all == (0..<Int32(geometry.width)).map { $0 })
    }
  }

  @Test(arguments: StrategyName.allCases)
  func equalSeedsGiveEqualSplits(name: StrategyName) throws {
    let context = try Context()
    let shared = name.shared(near: 1)
    let geometry = try SplitGeometry(
      width: 48, experts: 4 - shared, topK: 1, shared: shared, form: name.make().form)
    func split(_ seed: UInt64, _ index: Int) throws -> NeuronSplit {
      let layer = randomLayer(context, geometry: geometry, hidden: 8, tokens: 30)
      return try name.make().split(
        LayerUnderConstruction(
          index: index, geometry: geometry, weights: layer.weights, inputs: layer.inputs,
          clusterImportance: layer.clusterImportance, seed: seed, context: context))
    }
    #expect(try split(5, 0) == split(5, 0))
    if name == .random || name == .dropUpcycle {
      #expect(try split(5, 0) != split(6, 0))
      #expect(try split(5, 0) != split(5, 1))
    }
  }

  @Test func sequentialKeepsTheOrder() throws {
    let context = try Context()
    let geometry = try SplitGeometry(width: 8, experts: 3, topK: 1, shared: 1)
    let split = try SequentialStrategy().split(randomLayer(context, geometry: geometry, hidden: 2))
    #expect(split.shared == [0, 1])
    #expect(split.experts == [[2, 3], [4, 5], [6, 7]])
  }

  /// Neurons with the same direction belong together, whatever their length.
  @Test func clusterWeightsRecoversPlantedDirections() throws {
    let context = try Context()
    let (experts, width, hidden) = (4, 64, 16)
    let geometry = try SplitGeometry(width: width, experts: experts, topK: 1, shared: 0)
    var random = RandomStream(seed: 3)
    let directions = (0..<experts).map { _ in random.normal(2 * hidden) }
    var planted: [Int32] = []
    var (gate, up) = ([Float](), [Float]())
    for neuron in 0..<width {
      let group = (neuron * 7) % experts
      planted.append(Int32(group))
      let length = Float(0.2 + 5 * random.uniform())
      let row = zip(directions[group], random.normal(2 * hidden)).map { ($0 + 0.2 * $1) * length }
      gate += row.prefix(hidden)
      up += row.suffix(hidden)
    }
    let weights = MLPWeights(
      gate_ID: context.tensor(gate, [width, hidden]), up_ID: context.tensor(up, [width, hidden]),
      down_DI: context.tensor(random.normal(width * hidden), [hidden, width]))
    let split = try ClusterWeightsStrategy().split(
      LayerUnderConstruction(
        index: 0, geometry: geometry, weights: weights, inputs: nil, seed: 1, context: context))
    #expect(agreement(expertOf(split, width), planted) == 1)
  }

  /// Neurons that fire on the same kind of token belong together; the ones that fire on every token
  /// are shared.
  @Test(arguments: [StrategyName.activation, .cmoe, .profile])
  func plantedGroupsAreRecoveredAndWhatIsAlwaysActiveIsShared(name: StrategyName) throws {
    let context = try Context()
    let (groups, perGroup) = (4, 6)
    let geometry = try SplitGeometry(width: 30, experts: groups, topK: 1, shared: 1)
    // Input feature g marks a token of kind g; feature 4 is always on.
    var (gate, up) = ([Float](), [Float]())
    var planted: [Int32] = []
    for neuron in 0..<geometry.width {
      let group = neuron % 5
      planted.append(Int32(group))
      for feature in 0..<5 {
        gate.append(feature == group ? 4 : -0.5)
        up.append(feature == group ? 1 + Float(neuron) * 0.01 : 0)
      }
    }
    var random = RandomStream(seed: 8)
    var x: [Float] = []
    for token in 0..<256 {
      for feature in 0..<5 {
        let isOn = feature == 4 || feature == token / 64
        x.append(isOn ? 1 + 0.1 * Float(random.uniform()) : 0)
      }
    }
    let weights = MLPWeights(
      gate_ID: context.tensor(gate, [30, 5]), up_ID: context.tensor(up, [30, 5]),
      down_DI: context.tensor([Float](repeating: 1, count: 150), [5, 30]))
    let layer = LayerUnderConstruction(
      index: 0, geometry: geometry, weights: weights,
      inputs: RecordedInputs(context.tensor(x, [256, 5])), seed: 1, context: context)
    let split = try name.make().split(layer)
    #expect(split.shared.allSatisfy { planted[Int($0)] == 4 })
    for expert in split.experts {
      #expect(Set(expert.map { planted[Int($0)] }).count == 1, "\(expert)")
      #expect(expert.count == perGroup)
    }
  }

  @Test func refinementCapturesAtLeastAsMuch() throws {
    let context = try Context()
    let geometry = try SplitGeometry(width: 48, experts: 4, topK: 1, shared: 0)
    let layer = randomLayer(context, geometry: geometry, hidden: 8, tokens: 200)
    let energy = CapturedEnergy(
      try layer.activations(), routed: (0..<48).map { Int32($0) }, context: context)
    let plain = try ActivationStrategy(refinements: 0).split(layer)
    let refined = try ActivationStrategy(refinements: 8).split(layer)
    let before = try energy.captured(expertOf(plain, 48), experts: 4, topK: 1)
    let after = try energy.captured(expertOf(refined, 48), experts: 4, topK: 1)
    #expect(after >= before)
    #expect(after > 0.25 && after < 1)
  }

  /// The published rule of the profile strategy: the less activity varies, the more is shared.
  @Test func theProfileSaysHowManyAreShared() throws {
    let context = try Context()
    let geometry = try SplitGeometry(width: 48, experts: 10, topK: 8, shared: 2)
    let layer = randomLayer(context, geometry: geometry, hidden: 8, tokens: 200)
    // One stretch of text does not vary: 0.7 of 10 active units.
    #expect(try ProfileStrategy().sharedCount(for: layer, active: 10) == 7)
    #expect(try ActivationStrategy().sharedCount(for: layer, active: 10) == nil)
  }

  @Test func segmentsAreCutIntoPieces() {
    let cut = CalibrationSegment.cut(
      [.init(tokens: 5, domain: 0), .init(tokens: 130, domain: 1)], atMost: 64)
    #expect(cut.map(\.tokens) == [5, 64, 64, 2] && cut.map(\.domain) == [0, 1, 1, 1])
  }

  @Test func calibrationIsAskedForByName() throws {
    let context = try Context()
    let geometry = try SplitGeometry(width: 8, experts: 2, topK: 1, shared: 0)
    let layer = randomLayer(context, geometry: geometry, hidden: 4)
    let error = #expect(throws: ConstructionError.self) { try ActivationStrategy().split(layer) }
    #expect(error?.description.contains("--data") == true)
  }

  private func expertOf(_ split: NeuronSplit, _ width: Int) -> [Int32] {
    var result = [Int32](repeating: -1, count: width)
    for (expert, neurons) in split.experts.enumerated() {
      for neuron in neurons { result[Int(neuron)] = Int32(expert) }
    }
    return result
  }
}
