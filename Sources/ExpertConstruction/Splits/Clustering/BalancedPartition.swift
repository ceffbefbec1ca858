import Numerics

/// Divides a graph into groups of exactly equal size that hold as much edge weight as possible.
///
/// Starts from neurons far from each other, drawn as k-means++ draws centres. Then all neurons at once
/// go to the groups they are joined to most, by the exact balanced assignment: the edge weights are
/// scalar products, so this never loses (kernel k-means, Dhillon et al. 2004). Last, pairs are
/// swapped between groups as long as that gains (Kernighan and Lin 1970).
enum BalancedPartition {
  /// Rounds of the assignment at most.
  static let rounds = 20
  /// Passes of swaps at most.
  static let passes = 8

  /// The group of each neuron, every group equally often.
  static func solve(
    _ graph: CoactivationGraph, groups: Int, random: inout RandomStream
  ) -> [Int32] {
    guard groups > 1, graph.nodes > 0 else { return [Int32](repeating: 0, count: graph.nodes) }
    precondition(graph.nodes % groups == 0, "\(graph.nodes) nodes in \(groups) equal groups")
    var groupOf = start(graph, groups, &random)
    var held = weight(graph, groupOf, groups)
    for _ in 0..<rounds {
      let next = assign(graph, groupOf, groups)
      let gained = weight(graph, next, groups)
      guard gained > held else { break }
      let settles = gained < held * (1 + 1e-4)
      (groupOf, held) = (next, gained)
      if settles { break }
    }
    for _ in 0..<passes {
      if swap(graph, groups, &groupOf) == 0 { break }
    }
    return groupOf
  }

  /// The edge weight inside groups; each edge counts twice, loops once.
  static func weight(_ graph: CoactivationGraph, _ groupOf: [Int32], _ groups: Int) -> Double {
    let affinities = graph.affinities(groupOf, groups: groups)
    return groupOf.indices.reduce(0) { $0 + affinities[$1 * groups + Int(groupOf[$1])] }
  }

  private static func assign(
    _ graph: CoactivationGraph, _ groupOf: [Int32], _ groups: Int
  ) -> [Int32] {
    BalancedAssignment.solve(
      values_NG: graph.affinities(groupOf, groups: groups).map { Float($0) }, groups: groups)
  }

  /// The assignment to single neurons drawn far from each other.
  private static func start(
    _ graph: CoactivationGraph, _ groups: Int, _ random: inout RandomStream
  ) -> [Int32] {
    var seeds = [Int32](repeating: -1, count: graph.nodes)
    var distances = (0..<graph.nodes).map { 2 * graph.loop($0) }
    for group in 0..<groups {
      var remaining = random.uniform() * distances.reduce(0, +)
      let drawn = distances.firstIndex { distance in
        remaining -= distance
        return remaining < 0
      }
      guard let chosen = drawn ?? seeds.firstIndex(of: -1) else { break }
      seeds[chosen] = Int32(group)
      for node in distances.indices {
        distances[node] = min(
          distances[node], max(0, 2 * graph.loop(node) - 2 * graph.edge(node, chosen)))
      }
      distances[chosen] = 0
    }
    return assign(graph, seeds, groups)
  }

  /// Swaps each neuron with the best one of another group where that gains; the number of swaps.
  private static func swap(
    _ graph: CoactivationGraph, _ groups: Int, _ groupOf: inout [Int32]
  ) -> Int {
    var affinities = graph.affinities(groupOf, groups: groups)
    var members = [[Int]](repeating: [], count: groups)
    for (node, group) in groupOf.enumerated() { members[Int(group)].append(node) }
    var swaps = 0
    for node in groupOf.indices {
      let home = Int(groupOf[node])
      let stays = affinities[node * groups + home] - graph.loop(node)
      var best: (gain: Double, other: Int, place: Int)?
      for target in 0..<groups where target != home {
        let gain = affinities[node * groups + target] - stays
        for (place, other) in members[target].enumerated() {
          let total =
            gain + affinities[other * groups + home] + graph.loop(other)
            - affinities[other * groups + target]
          guard total > best?.gain ?? 1e-9 else { continue }
          // The edge between the two crosses the border before and after.
          let exact = total - 2 * graph.edge(node, other)
          if exact > best?.gain ?? 1e-9 { best = (exact, other, place) }
        }
      }
      guard let best else { continue }
      let target = Int(groupOf[best.other])
      guard let place = members[home].firstIndex(of: node) else { continue }
      members[home][place] = best.other
      members[target][best.place] = node
      graph.move(node, from: home, to: target, groups: groups, &affinities)
      graph.move(best.other, from: target, to: home, groups: groups, &affinities)
      (groupOf[node], groupOf[best.other]) = (Int32(target), Int32(home))
      swaps += 1
    }
    return swaps
  }
}
