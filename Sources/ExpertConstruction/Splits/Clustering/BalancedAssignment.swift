/// Assigns items to groups of equal capacity so that the summed value is the largest possible.
///
/// The transport problem is solved exactly by successive shortest paths. There are few groups, so
/// the residual graph is kept on groups alone: the length of the edge from group `a` to group `b`
/// is the least loss at which some item of `a` can move to `b`. It starts from an assignment that
/// is optimal for the group sizes it has, and nearly balanced: every item in the group with the
/// largest value minus price (``GroupPrices``).
struct BalancedAssignment {
  private let values: [Float]
  private let groups: Int
  private let capacity: Int
  private var group: [Int32]
  private var members: [[Int32]]
  /// Where an item stands among its group's members.
  private var places: [Int32]
  /// `edges[a * groups + b]`.
  private var edges: [Move]
  private let epsilon: Double

  /// The cheapest item to move from one group to another.
  private struct Move {
    var loss = Double.infinity
    var item: Int32 = -1

    mutating func meet(_ other: Move) {
      if other.loss < loss || (other.loss == loss && other.item < item) { self = other }
    }
  }

  /// The group of each item.
  ///
  /// - Parameters:
  ///   - values_NG: The value of each item in each group, row-major, finite.
  ///   - groups: The number of groups; it divides the number of items.
  /// - Returns: One group per item, each group equally often.
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
    group = GroupPrices.choices(values_NG: values, groups: groups, capacity: capacity)
    members = [[Int32]](repeating: [], count: groups)
    places = [Int32](repeating: 0, count: items)
    for item in 0..<items {
      let home = Int(group[item])
      places[item] = Int32(members[home].count)
      members[home].append(Int32(item))
    }
    var largest: Float = 0
    for value in values { largest = max(largest, abs(value)) }
    // Far above rounding, far below any difference that matters: keeps paths free of cycles.
    epsilon = Double(largest) * 1e-10
    edges = [Move](repeating: Move(), count: groups * groups)
    for item in 0..<items { offer(Int32(item)) }
  }

  /// What `item` loses on moving to `target`.
  private func move(_ item: Int32, to target: Int) -> Move {
    let row = Int(item) * groups
    let loss = Double(values[row + Int(group[Int(item)])]) - Double(values[row + target])
    return Move(loss: loss, item: item)
  }

  /// Lets `item` be the cheapest to leave its group.
  private mutating func offer(_ item: Int32) {
    let home = Int(group[Int(item)])
    for target in 0..<groups where target != home {
      edges[home * groups + target].meet(move(item, to: target))
    }
  }

  /// Moves one item out of an over-full group along the shortest path; false when none is over-full.
  private mutating func augment() -> Bool {
    var distance = [Double](repeating: .infinity, count: groups)
    var previous = [Int](repeating: -1, count: groups)
    var hasExcess = false
    for index in 0..<groups where members[index].count > capacity {
      distance[index] = 0
      hasExcess = true
    }
    guard hasExcess else { return false }
    for _ in 0..<groups {
      var changed = false
      for from in 0..<groups where distance[from] < .infinity {
        for to in 0..<groups where to != from {
          let candidate = distance[from] + edges[from * groups + to].loss
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
    for index in 0..<groups where members[index].count < capacity {
      if target < 0 || distance[index] < distance[target] { target = index }
    }
    var moves: [(item: Int32, from: Int, to: Int)] = []
    while previous[target] >= 0, moves.count < groups {
      let from = previous[target]
      let item = edges[from * groups + target].item
      guard item >= 0 else { break }
      moves.append((item, from, target))
      target = from
    }
    for move in moves { apply(move.item, from: move.from, to: move.to) }
    return !moves.isEmpty
  }

  private mutating func apply(_ item: Int32, from: Int, to: Int) {
    let place = Int(places[Int(item)])
    if let last = members[from].popLast(), last != item {
      members[from][place] = last
      places[Int(last)] = Int32(place)
    }
    places[Int(item)] = Int32(members[to].count)
    members[to].append(item)
    group[Int(item)] = Int32(to)
    for other in 0..<groups where edges[from * groups + other].item == item {
      var cheapest = Move()
      for member in members[from] { cheapest.meet(move(member, to: other)) }
      edges[from * groups + other] = cheapest
    }
    offer(item)
  }
}
