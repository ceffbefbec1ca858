/// Which neurons of one MLP go where: each neuron exactly once.
///
/// A neuron is a row of the gate and up projections together with that column of the down
/// projection. The order within a list is the order in the written tensors.
public struct NeuronSplit: Equatable, Sendable {
  /// Neurons that are always active.
  public let shared: [Int32]
  /// The neurons of each routed expert.
  public let experts: [[Int32]]

  /// - Throws: ``ConstructionError`` naming the first neuron that is missing, repeated or out of
  ///   range, or the expert of the wrong width.
  public init(shared: [Int32], experts: [[Int32]], geometry: SplitGeometry)
    throws(ConstructionError)
  {
    func damaged(_ text: String) -> ConstructionError { ConstructionError(.damagedSource, text) }
    guard experts.count == geometry.experts else {
      throw damaged("a split has \(experts.count) experts where \(geometry.experts) were expected")
    }
    guard shared.count == geometry.sharedWidth else {
      throw damaged(
        "a split shares \(shared.count) neurons where \(geometry.sharedWidth) were expected")
    }
    for (index, expert) in experts.enumerated() where expert.count != geometry.expertWidth {
      throw damaged(
        "expert \(index) has \(expert.count) neurons where \(geometry.expertWidth) were expected")
    }
    var seen = [Bool](repeating: false, count: geometry.width)
    for neuron in shared + experts.joined() {
      guard neuron >= 0, neuron < geometry.width else {
        throw damaged("neuron \(neuron) does not exist in an MLP of width \(geometry.width)")
      }
      guard !seen[Int(neuron)] else {
        throw damaged("neuron \(neuron) is used twice by one split")
      }
      seen[Int(neuron)] = true
    }
    if let missing = seen.firstIndex(of: false) {
      throw damaged("neuron \(missing) is in no expert of the split")
    }
    self.shared = shared
    self.experts = experts
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
}
