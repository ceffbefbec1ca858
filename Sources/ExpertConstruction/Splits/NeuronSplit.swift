/// Which neurons of one MLP go where.
///
/// A neuron is a row of the gate and up projections together with that column of the down
/// projection. The order within a list is the order in the written tensors. What the lists must be
/// together says ``SplitGeometry/form``.
public struct NeuronSplit: Equatable, Sendable {
  /// Neurons that are always active; of a pruned MLP all that are kept.
  public let shared: [Int32]
  /// The neurons of each routed expert; none of a pruned MLP.
  public let experts: [[Int32]]
  /// The neurons of each expert that are drawn anew, ascending; empty where all are what they were.
  public let redrawn: [[Int32]]

  /// - Parameter redrawn: Only of experts that are copies, each of which keeps some neurons.
  /// - Throws: ``ConstructionError`` naming the first neuron that is missing, repeated or out of
  ///   range, or the expert of the wrong width.
  public init(
    shared: [Int32], experts: [[Int32]], redrawn: [[Int32]] = [], geometry: SplitGeometry
  ) throws(ConstructionError) {
    func damaged(_ text: String) -> ConstructionError { ConstructionError(.damagedSource, text) }
    let isPruned = geometry.form == .pruned
    let expected = isPruned ? 0 : geometry.experts
    guard experts.count == expected else {
      throw damaged("a split has \(experts.count) experts where \(expected) were expected")
    }
    let always = isPruned ? geometry.activeWidth : geometry.sharedWidth
    guard shared.count == always else {
      throw damaged("a split shares \(shared.count) neurons where \(always) were expected")
    }
    for (index, expert) in experts.enumerated() where expert.count != geometry.expertWidth {
      throw damaged(
        "expert \(index) has \(expert.count) neurons where \(geometry.expertWidth) were expected")
    }
    // The unit that used a neuron last.
    var user = [Int](repeating: -1, count: geometry.width)
    for (unit, neurons) in ([shared] + experts).enumerated() {
      for neuron in neurons {
        guard neuron >= 0, neuron < geometry.width else {
          throw damaged("neuron \(neuron) does not exist in an MLP of width \(geometry.width)")
        }
        let last = user[Int(neuron)]
        guard last != unit, last < 0 || [.overlapping, .copied].contains(geometry.form) else {
          throw damaged("neuron \(neuron) is used twice by one split")
        }
        user[Int(neuron)] = unit
      }
    }
    if geometry.form == .partition, let missing = user.firstIndex(of: -1) {
      throw damaged("neuron \(missing) is in no expert of the split")
    }
    self.shared = shared
    self.experts = experts
    self.redrawn = redrawn
    guard !redrawn.isEmpty else { return }
    guard geometry.form == .copied, redrawn.count == experts.count else {
      throw damaged("\(redrawn.count) lists of redrawn neurons do not fit \(experts.count) experts")
    }
    for (expert, neurons) in redrawn.enumerated() {
      guard neurons.count < geometry.width, neurons.allSatisfy({ $0 >= 0 && $0 < geometry.width }),
        zip(neurons, neurons.dropFirst()).allSatisfy({ $0 < $1 })
      else {
        throw damaged(
          "the redrawn neurons of expert \(expert) are not an ascending part of \(geometry.width)")
      }
    }
  }

  /// The split in which every expert has all neurons in their order.
  public init(copying geometry: SplitGeometry, redrawn: [[Int32]] = [])
    throws(ConstructionError)
  {
    let all = (0..<Int32(geometry.width)).map { $0 }
    try self.init(
      shared: [], experts: Array(repeating: all, count: geometry.experts), redrawn: redrawn,
      geometry: geometry)
  }

  /// The neurons of expert `expert` that are drawn anew.
  func redrawn(ofExpert expert: Int) -> [Int32] { redrawn.isEmpty ? [] : redrawn[expert] }

  /// 1 for each of `width` neurons that expert `expert` keeps as it was, else 0; `nil` where it keeps
  /// all.
  func kept(byExpert expert: Int, width: Int) -> [Int32]? {
    let redrawn = self.redrawn(ofExpert: expert)
    guard !redrawn.isEmpty else { return nil }
    var kept = [Int32](repeating: 1, count: width)
    for neuron in redrawn { kept[Int(neuron)] = 0 }
    return kept
  }

  /// The expert that holds each of `width` neurons; -1 for shared ones.
  func expertOfNeuron(width: Int) -> [Int32] {
    var expertOf = [Int32](repeating: -1, count: width)
    for (expert, neurons) in experts.enumerated() {
      for neuron in neurons { expertOf[Int(neuron)] = Int32(expert) }
    }
    return expertOf
  }

  /// The split that assigns routed neuron `routed[i]` to expert `assignment[i]`, lists ascending.
  init(shared: [Int32], routed: [Int32], assignment: [Int32], geometry: SplitGeometry)
    throws(ConstructionError)
  {
    var experts = [[Int32]](repeating: [], count: geometry.experts)
    for (neuron, expert) in zip(routed, assignment) { experts[Int(expert)].append(neuron) }
    try self.init(
      shared: shared.sorted(), experts: experts.map { $0.sorted() }, geometry: geometry)
  }

  /// How often each of `width` neurons is used as it was.
  func uses(width: Int) -> [Int32] {
    var uses = [Int32](repeating: 0, count: width)
    for neuron in shared { uses[Int(neuron)] += 1 }
    for neuron in experts.joined() { uses[Int(neuron)] += 1 }
    for neuron in redrawn.joined() { uses[Int(neuron)] -= 1 }
    return uses
  }

  /// The experts that hold each of `width` neurons, `[width, K]` row-major, -1 where there are fewer
  /// than `K`.
  func expertsOfNeurons(width: Int) -> (experts: [Int32], most: Int) {
    var held = [Int](repeating: 0, count: width)
    for neuron in experts.joined() { held[Int(neuron)] += 1 }
    let most = max(1, held.max() ?? 1)
    var result = [Int32](repeating: -1, count: width * most)
    held = [Int](repeating: 0, count: width)
    for (expert, neurons) in experts.enumerated() {
      for neuron in neurons.map({ Int($0) }) {
        result[neuron * most + held[neuron]] = Int32(expert)
        held[neuron] += 1
      }
    }
    return (result, most)
  }
}
