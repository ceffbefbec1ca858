import Numerics
import Testing

@testable import ExpertConstruction

@Suite struct CoactivationTests {
  /// Neurons of `groups` planted groups that fire together, with some noise.
  private func planted(
    groups: Int, size: Int, tokens: Int, _ random: inout RandomStream
  ) -> (graph: CoactivationGraph, groupOf: [Int32], active: [[Int32]]) {
    let nodes = groups * size
    let active = (0..<tokens).map { _ -> [Int32] in
      let kind = random.index(below: groups)
      return (0..<nodes).filter { node in
        random.uniform() < (node % groups == kind ? 0.5 : 0.05)
      }.map { Int32($0) }
    }
    return (
      CoactivationGraph(nodes: nodes, active: active), (0..<nodes).map { Int32($0 % groups) },
      active
    )
  }

  @Test func recoversPlantedGroups() {
    var random = RandomStream(seed: 12)
    let (graph, groupOf, _) = planted(groups: 5, size: 24, tokens: 400, &random)
    let found = BalancedPartition.solve(graph, groups: 5, random: &random)
    #expect(agreement(found, groupOf) == 1)
    for group in 0..<5 { #expect(found.count { $0 == group } == 24) }
  }

  @Test func edgesAndAffinitiesAreWhatTheTokensSay() {
    var random = RandomStream(seed: 13)
    let (graph, _, active) = planted(groups: 3, size: 5, tokens: 30, &random)
    let tokens = (0..<15).map { node in
      Set(active.indices.filter { active[$0].contains(Int32(node)) })
    }
    func edge(_ a: Int, _ b: Int) -> Double {
      let size = Double(tokens[a].count * tokens[b].count)
      return size == 0 ? 0 : Double(tokens[a].intersection(tokens[b]).count) / size.squareRoot()
    }
    var groupOf = (0..<15).map { Int32($0 / 5) }
    func naive() -> [Double] {
      (0..<45).map { index in
        groupOf.indices.reduce(0) { $0 + (Int(groupOf[$1]) == index % 3 ? edge(index / 3, $1) : 0) }
      }
    }
    for a in 0..<15 {
      for b in 0..<15 { #expect(abs(graph.edge(a, b) - edge(a, b)) < 1e-12) }
    }
    var affinities = graph.affinities(groupOf, groups: 3)
    #expect(zip(affinities, naive()).allSatisfy { abs($0 - $1) < 1e-12 })
    graph.move(7, from: 1, to: 2, groups: 3, &affinities)
    groupOf[7] = 2
    #expect(zip(affinities, naive()).allSatisfy { abs($0 - $1) < 1e-12 })
  }

  /// Never below what the same start holds before any swap, far above chance, and seeded.
  @Test func holdsMoreThanChance() {
    var random = RandomStream(seed: 14)
    let (graph, _, _) = planted(groups: 6, size: 8, tokens: 120, &random)
    for seed in 0..<6 as Range<UInt64> {
      var (first, second) = (RandomStream(seed: seed), RandomStream(seed: seed))
      let found = BalancedPartition.solve(graph, groups: 4, random: &first)
      #expect(found == BalancedPartition.solve(graph, groups: 4, random: &second))
      let chance = (0..<48).map { Int32($0 % 4) }
      #expect(
        BalancedPartition.weight(graph, found, 4)
          > 1.2 * BalancedPartition.weight(graph, chance, 4))
      // No swap of two neurons gains.
      let held = BalancedPartition.weight(graph, found, 4)
      for a in 0..<48 {
        for b in 0..<a where found[a] != found[b] {
          var swapped = found
          swapped.swapAt(a, b)
          #expect(BalancedPartition.weight(graph, swapped, 4) < held + 0.5)
        }
      }
    }
  }

  @Test func neuronsThatAreNeverActiveFindAPlaceToo() {
    let graph = CoactivationGraph(nodes: 8, active: [[0, 1], [], [0, 1]])
    var random = RandomStream(seed: 2)
    let found = BalancedPartition.solve(graph, groups: 4, random: &random)
    #expect(found[0] == found[1])
    for group in 0..<4 { #expect(found.count { $0 == group } == 2) }
  }

  /// Against sorting everything, with ties and silent neurons.
  @Test func theMostActiveAreFound() {
    var random = RandomStream(seed: 15)
    for _ in 0..<50 {
      let values = (0..<1 + random.index(below: 40)).map { _ in Float(random.index(below: 8)) }
      let capacity = random.index(below: 12)
      var heap = LargestHeap(capacity: capacity)
      for (index, value) in values.enumerated() { heap.offer(value, Int32(index)) }
      let order = values.indices.sorted {
        values[$0] > values[$1] || (values[$0] == values[$1] && $0 < $1)
      }
      let expected = order.filter { values[$0] > 0 }.prefix(capacity).sorted().map { Int32($0) }
      #expect(heap.indices.sorted() == expected)
    }
  }
}
