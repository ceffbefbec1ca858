import Numerics
import Testing

@testable import ExpertConstruction

@Suite struct ImportanceTests {
  private func total(_ values: [Float], _ assignment: [Int32], groups: Int) -> Double {
    assignment.enumerated().reduce(0) { $0 + Double(values[$1.offset * groups + Int($1.element)]) }
  }

  /// The exact division never has a smaller total than the greedy one, and on such instances of
  /// more than two groups a larger one.
  @Test func exactBeatsGreedy() {
    var random = RandomStream(seed: 8)
    for round in 0..<20 {
      let groups = 2 + random.index(below: 7)
      let items = groups * (10 + random.index(below: 30))
      // Importance is skewed: a few neurons matter much more than the rest.
      let values = (0..<items * groups).map { _ in
        let value = Float(random.uniform())
        return value * value * value / (0.05 + Float(random.uniform()))
      }
      let exact = ImportanceAssignment.exact.solve(values_NG: values, groups: groups)
      let greedy = ImportanceAssignment.greedy.solve(values_NG: values, groups: groups)
      for group in 0..<groups {
        #expect(exact.count { $0 == group } == items / groups)
        #expect(greedy.count { $0 == group } == items / groups)
      }
      let (best, other) = (
        total(values, exact, groups: groups), total(values, greedy, groups: groups)
      )
      #expect(best >= other - 1e-9 * abs(other), "round \(round)")
      // Between two groups the greedy rule often finds the best division.
      if groups > 2 { #expect(best > other, "round \(round): \(best) against \(other)") }
    }
  }

  /// Against the rule read word by word, with many ties.
  @Test func greedyFollowsItsRule() {
    var random = RandomStream(seed: 9)
    for _ in 0..<40 {
      let groups = 1 + random.index(below: 4)
      let items = groups * (1 + random.index(below: 6))
      let values = (0..<items * groups).map { _ in Float(random.index(below: 3)) }
      var left = Set(0..<items)
      var expected = [Int32](repeating: -1, count: items)
      while !left.isEmpty {
        var best: (value: Float, group: Int, item: Int)?
        for group in 0..<groups
        where expected.count(where: { $0 == group }) < items / groups {
          for item in left.sorted() {
            let value = values[item * groups + group]
            // A later expert wins a tie; within one the first item does.
            if let found = best,
              value < found.value || (value == found.value && group == found.group)
            {
              continue
            }
            best = (value, group, item)
          }
        }
        guard let best else { break }
        expected[best.item] = Int32(best.group)
        left.remove(best.item)
      }
      #expect(ImportanceAssignment.greedy.solve(values_NG: values, groups: groups) == expected)
    }
  }

  @Test func laterExpertsWinTies() {
    let solved = ImportanceAssignment.greedy.solve(
      values_NG: [1, 1, 1, 1, 1, 1, 1, 1], groups: 2)
    #expect(solved == [1, 1, 0, 0])
  }

  /// Worked by hand: 8 neurons, 2 clusters, 2 routed and 2 shared units of 2.
  @Test func sharedNeuronsComeByTiers() throws {
    let geometry = try SplitGeometry(width: 8, experts: 2, topK: 1, shared: 2)
    let importance = ClusterImportance(
      clusters: 2, centres_ED: [0, 0],
      importance_EI: [
        9, 8, 7, 6, 5, 4, 3, 2,
        1, 9, 2, 8, 7, 3, 6, 5,
      ])
    // Lists 0,1 and 1,3: neuron 1 is in both. Then 0,2 and 3,4: none is, so all of the tier of one,
    // lower numbers first, as far as there is room: 0, 2, 3.
    let (shared, others) = SharedTiers.select(importance, geometry: geometry)
    #expect(shared == [0, 1, 2, 3])
    #expect(others == [4, 5, 6, 7])
  }

  @Test func sharingTakesEachClustersOwnNeurons() throws {
    let context = try Context(device: .cpu(threads: 1))
    func split(_ name: StrategyName, shared: Int, width: Int) throws -> NeuronSplit {
      let geometry = try SplitGeometry(
        width: width, experts: 2, topK: 1, shared: shared, form: .overlapping)
      let plain = randomLayer(context, geometry: geometry, hidden: 2)
      return try name.make().split(
        LayerUnderConstruction(
          index: 0, geometry: geometry, weights: plain.weights, inputs: nil,
          clusterImportance: ClusterImportance(
            clusters: 2, centres_ED: [0, 0, 0, 0],
            importance_EI: [6, 5, 4, 3, 2, 1, 5, 6, 1, 2, 4, 3]), seed: 1, context: context))
    }
    let inner = try split(.sharingInner, shared: 0, width: 6)
    #expect(inner.experts == [[0, 1, 2], [0, 1, 4]])
    #expect(inner.uses(width: 6) == [2, 2, 1, 0, 1, 0])
    let inter = try split(.sharingInter, shared: 1, width: 6)
    #expect(inter.shared == [0, 1])
    #expect(inter.experts == [[2, 3], [4, 5]])
  }

  @Test func withoutGradientsTheReasonIsSaid() throws {
    let context = try Context(device: .cpu(threads: 1))
    let geometry = try SplitGeometry(width: 6, experts: 2, topK: 1, shared: 0)
    let plain = randomLayer(context, geometry: geometry, hidden: 2)
    let error = #expect(throws: ConstructionError.self) {
      try GradientStrategy().split(
        LayerUnderConstruction(
          index: 3, geometry: geometry, weights: plain.weights, inputs: nil, seed: 1,
          context: context))
    }
    #expect(error?.description.contains("layer 3") == true)
    #expect(error?.description.contains("--data") == true)
  }

  @Test(arguments: [
    (8, 1792, SharedUnits.optional, 0), (7, 1792, .optional, 1), (28, 1792, .optional, 4),
    (28, 1792, .none, 0), (28, 1792, .required, 4), (8, 1792, .required, 6), (8, 24, .required, 4),
  ])
  func sharedUnitsHaveADefault(experts: Int, width: Int, units: SharedUnits, expected: Int) {
    #expect(SplitGeometry.standardShared(experts: experts, width: width, units) == expected)
  }
}
