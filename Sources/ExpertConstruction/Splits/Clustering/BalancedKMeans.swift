import Numerics

/// K-means whose clusters all have the same size.
///
/// Lloyd's iteration with the exact balanced assignment in place of the nearest centre, started by
/// k-means++ (Arthur and Vassilvitskii 2007). Each step can only lower the inertia, so it ends.
struct BalancedKMeans {
  /// Iterations at most.
  var iterations = 30
  /// Ends when an iteration lowers the inertia by less than this fraction.
  var tolerance: Double = 1e-4
  /// Starts, of which the one with the lowest inertia counts.
  var starts = 1

  /// The cluster of each row of `points_NF`, every cluster equally often.
  func cluster(_ points_NF: Tensor, clusters: Int, random: inout RandomStream, context: Context)
    -> [Int32]
  {
    let squares_N = context.read(context.rowSums(points_NF, squared: true))
    var best: (assignment: [Int32], inertia: Double)?
    for _ in 0..<max(1, starts) {
      let run = descend(points_NF, squares_N, clusters, &random, context)
      if run.inertia < best?.inertia ?? .infinity { best = run }
      if clusters == 1 { break }
    }
    return best?.assignment ?? [Int32](repeating: 0, count: points_NF.rows)
  }

  private func descend(
    _ points: Tensor, _ squares_N: [Float], _ clusters: Int, _ random: inout RandomStream,
    _ context: Context
  ) -> (assignment: [Int32], inertia: Double) {
    var centres = firstCentres(points, squares_N, clusters, &random, context)
    var assignment: [Int32] = []
    var inertia = Double.infinity
    for _ in 0..<iterations {
      let values = affinities(points, centres, context)
      let next = BalancedAssignment.solve(values_NG: values, groups: clusters)
      var sum = 0.0
      for item in next.indices {
        sum += Double(squares_N[item]) - Double(values[item * clusters + Int(next[item])])
      }
      let settled = next == assignment || sum > inertia * (1 - tolerance)
      if sum < inertia { (assignment, inertia) = (next, sum) }
      if settled { break }
      centres = means(points, assignment, clusters, context)
    }
    return (assignment, inertia)
  }

  /// `2·x·c − ‖c‖²`: the squared distance negated, up to what depends on the point alone.
  private func affinities(_ points: Tensor, _ centres: Tensor, _ context: Context) -> [Float] {
    var values = context.read(context.product(points, centres, transposeB: true))
    let squares = context.read(context.rowSums(centres, squared: true))
    for index in values.indices {
      values[index] = 2 * values[index] - squares[index % squares.count]
    }
    return values
  }

  private func means(
    _ points: Tensor, _ assignment: [Int32], _ clusters: Int, _ context: Context
  ) -> Tensor {
    let weight = Double(Float(clusters) / Float(assignment.count))
    return context.product(
      context.indicator(of: assignment, columns: clusters, value: weight), transposeA: true, points)
  }

  private func firstCentres(
    _ points: Tensor, _ squares_N: [Float], _ clusters: Int, _ random: inout RandomStream,
    _ context: Context
  ) -> Tensor {
    let centres = context.empty([clusters, points.columns])
    var nearest = [Double](repeating: .infinity, count: points.rows)
    var chosen = Int(random.next() % UInt64(max(1, points.rows)))
    for cluster in 0..<clusters {
      let centre = points.slice(chosen..<chosen + 1)
      context.copy(centre, into: centres.slice(cluster..<cluster + 1))
      let products = context.read(context.product(points, centre, transposeB: true))
      let square = squares_N[chosen]
      var total = 0.0
      for item in nearest.indices {
        let distance = Double(squares_N[item] + square - 2 * products[item])
        nearest[item] = min(nearest[item], max(0, distance))
        total += nearest[item]
      }
      var remaining = random.uniform() * total
      chosen =
        nearest.firstIndex { distance in
          remaining -= distance
          return remaining < 0
        } ?? Int(random.next() % UInt64(max(1, points.rows)))
    }
    return centres
  }
}
