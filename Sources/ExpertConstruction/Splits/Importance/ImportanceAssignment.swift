/// How neurons with a score for every expert are given to experts of equal width.
public enum ImportanceAssignment: String, CaseIterable, Sendable {
  /// The division with the largest total score: a transport problem, solved exactly.
  case exact
  /// LLaMA-MoE-v2's rule: the largest score still to be had goes first.
  case greedy

  /// The group of each item, each group equally often.
  ///
  /// - Parameter values_NG: The score of each item in each group, row-major; `groups` divides the
  ///   number of items.
  public func solve(values_NG: [Float], groups: Int) -> [Int32] {
    switch self {
    case .exact: BalancedAssignment.solve(values_NG: values_NG, groups: groups)
    case .greedy: GreedyAssignment.solve(values_NG: values_NG, groups: groups)
    }
  }
}

/// The greedy division of LLaMA-MoE (Zhu et al. 2024) and LLaMA-MoE-v2 (Qu et al. 2024): again and
/// again the group that is not full and has the best item left takes it. Of groups whose best items
/// are worth the same the later one goes first; of such items of one group, the lower.
enum GreedyAssignment {
  static func solve(values_NG: [Float], groups: Int) -> [Int32] {
    precondition(groups > 0 && values_NG.count % groups == 0)
    let items = values_NG.count / groups
    precondition(items % groups == 0, "\(items) items in \(groups) equal groups")
    let orders = (0..<groups).map { group in
      (0..<items).sorted { a, b in
        let (left, right) = (values_NG[a * groups + group], values_NG[b * groups + group])
        return left > right || (left == right && a < b)
      }
    }
    var cursors = [Int](repeating: 0, count: groups)
    var left = [Int](repeating: items / groups, count: groups)
    var assignment = [Int32](repeating: -1, count: items)
    for _ in 0..<items {
      var best: (value: Float, group: Int)?
      for group in 0..<groups where left[group] > 0 {
        while assignment[orders[group][cursors[group]]] >= 0 { cursors[group] += 1 }
        let value = values_NG[orders[group][cursors[group]] * groups + group]
        if best.map({ value >= $0.value }) ?? true { best = (value, group) }
      }
      guard let group = best?.group else { break }
      assignment[orders[group][cursors[group]]] = Int32(group)
      left[group] -= 1
    }
    return assignment
  }
}
