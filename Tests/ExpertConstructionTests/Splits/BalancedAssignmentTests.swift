import Numerics
import Testing

@testable import ExpertConstruction

@Suite struct BalancedAssignmentTests {
  /// Against trying everything, on small random instances with many ties.
  @Test func isOptimal() {
    var random = RandomStream(seed: 5)
    for round in 0..<60 {
      let groups = 2 + random.index(below: 3)
      let capacity = 1 + random.index(below: groups == 4 ? 2 : 3)
      let items = groups * capacity
      let values = (0..<items * groups).map { _ in
        round % 2 == 0 ? Float(random.index(below: 4)) : Float(random.uniform())
      }
      let solved = BalancedAssignment.solve(values_NG: values, groups: groups)
      var counts = [Int](repeating: 0, count: groups)
      var total: Float = 0
      for (item, group) in solved.enumerated() {
        counts[Int(group)] += 1
        total += values[item * groups + Int(group)]
      }
      #expect(counts == Array(repeating: capacity, count: groups))
      var remaining = [Int](repeating: capacity, count: groups)
      let best = exhaustive(values, groups: groups, item: 0, &remaining)
      #expect(abs(total - best) < 1e-5, "round \(round): \(total) of \(best)")
    }
  }

  @Test func staysBalancedWhenAllPreferOneGroup() {
    var random = RandomStream(seed: 6)
    let values = (0..<600 * 6).map { index in
      Float(index % 6 == 2 ? 10 : 0) + Float(random.uniform())
    }
    let solved = BalancedAssignment.solve(values_NG: values, groups: 6)
    for group in 0..<6 { #expect(solved.filter { $0 == group }.count == 100) }
  }

  private func exhaustive(_ values: [Float], groups: Int, item: Int, _ remaining: inout [Int])
    -> Float
  {
    guard item * groups < values.count else { return 0 }
    var best = -Float.infinity
    for group in 0..<groups where remaining[group] > 0 {
      remaining[group] -= 1
      best = max(
        best,
        values[item * groups + group]
          + exhaustive(values, groups: groups, item: item + 1, &remaining))
      remaining[group] += 1
    }
    return best
  }
}
