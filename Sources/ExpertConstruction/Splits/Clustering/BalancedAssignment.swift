/// Assigns items to groups of equal capacity so that the summed value is the largest possible.
///
/// The transport problem is solved exactly by successive shortest paths. There are few groups, so
/// the residual graph is kept on groups alone: the length of the edge from group `a` to group `b`
/// is the least loss at which some item of `a` can move to `b`.
struct BalancedAssignment {
  private let values: [Float]
  private let groups: Int
  private let capacity: Int
  private var group: [Int32]
  private var counts: [Int]
  /// `heaps[a * groups + b]`: items of `a` by their loss on moving to `b`; may hold stale entries.
  private var heaps: [MoveHeap]
  private var edges: [Double]
  private let epsilon: Double

  /// The group of each item.
  ///
  /// - Parameters:
  ///   - values_NG: The value of each item in each group, row-major, finite.
  ///   - groups: The number of groups; it divides the number of items.
  /// - Returns: One group per item, each group equally often. Ties go to the lower group.
  static func solve(values_NG: [Float], groups: Int) -> [Int32] {
    precondition(groups > 0 && values_NG.count % groups == 0)
    let items = values_NG.count / groups
    precondition(items % groups == 0, "\(items) items in \(groups) equal groups")
    guard groups > 1, items > 0 else { return [Int32](repeating: 0, count: items) }
    var solver = BalancedAssignment(values_NG, groups: groups, capacity: items / groups)
    while solver.augment() {}
    return solver.group
  }

  private init(_ values: [Float], groups: Int, capacity: Int) {
    self.values = values
    self.groups = groups
    self.capacity = capacity
    let items = values.count / groups
    group = [Int32](repeating: 0, count: items)
    counts = [Int](repeating: 0, count: groups)
    var largest: Float = 0
    for item in 0..<items {
      var best = 0
      for candidate in 0..<groups {
        let value = values[item * groups + candidate]
        if value > values[item * groups + best] { best = candidate }
        largest = max(largest, abs(value))
      }
      group[item] = Int32(best)
      counts[best] += 1
    }
    // Far above rounding, far below any difference that matters: keeps paths free of cycles.
    epsilon = Double(largest) * 1e-10
    var entries = [[MoveHeap.Entry]](repeating: [], count: groups * groups)
    for item in 0..<items {
      let home = Int(group[item])
      for target in 0..<groups where target != home {
        entries[home * groups + target].append(
          .init(
            loss: Double(values[item * groups + home]) - Double(values[item * groups + target]),
            item: Int32(item)))
      }
    }
    heaps = entries.map(MoveHeap.init)
    edges = heaps.map { $0.first?.loss ?? .infinity }
  }

  /// Moves one item out of an over-full group along the shortest path; false when none is over-full.
  private mutating func augment() -> Bool {
    var distance = [Double](repeating: .infinity, count: groups)
    var previous = [Int](repeating: -1, count: groups)
    var hasExcess = false
    for index in 0..<groups where counts[index] > capacity {
      distance[index] = 0
      hasExcess = true
    }
    guard hasExcess else { return false }
    for _ in 0..<groups {
      var changed = false
      for from in 0..<groups where distance[from] < .infinity {
        for to in 0..<groups where to != from {
          let candidate = distance[from] + edges[from * groups + to]
          if candidate < distance[to] - epsilon {
            distance[to] = candidate
            previous[to] = from
            changed = true
          }
        }
      }
      if !changed { break }
    }
    var target = -1
    for index in 0..<groups where counts[index] < capacity {
      if target < 0 || distance[index] < distance[target] { target = index }
    }
    var moves: [(item: Int32, from: Int, to: Int)] = []
    while previous[target] >= 0, moves.count < groups {
      let from = previous[target]
      guard let entry = heaps[from * groups + target].first else { break }
      moves.append((entry.item, from, target))
      target = from
    }
    for move in moves { apply(move.item, from: move.from, to: move.to) }
    return !moves.isEmpty
  }

  private mutating func apply(_ item: Int32, from: Int, to: Int) {
    group[Int(item)] = Int32(to)
    counts[from] -= 1
    counts[to] += 1
    let row = Int(item) * groups
    for other in 0..<groups {
      if other != from {
        let edge = from * groups + other
        while let top = heaps[edge].first, Int(group[Int(top.item)]) != from {
          heaps[edge].removeFirst()
        }
        edges[edge] = heaps[edge].first?.loss ?? .infinity
      }
      if other != to {
        let edge = to * groups + other
        heaps[edge].insert(
          .init(loss: Double(values[row + to]) - Double(values[row + other]), item: item))
        while let top = heaps[edge].first, Int(group[Int(top.item)]) != to {
          heaps[edge].removeFirst()
        }
        edges[edge] = heaps[edge].first?.loss ?? .infinity
      }
    }
  }
}
