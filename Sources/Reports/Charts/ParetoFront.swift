/// The points that no other point beats in both directions.
public enum ParetoFront {
  /// What is better along the horizontal axis; along the vertical one less is.
  public enum Direction: Sendable {
    case lessIsBetter, moreIsBetter
  }

  /// The indices of the points that are on the front, best x first. Of equal points all are on it;
  /// points with a value that is not finite never are.
  public static func indices(
    of points: [(x: Double, y: Double)], x direction: Direction
  ) -> [Int] {
    let sign = direction == .lessIsBetter ? 1.0 : -1.0
    let finite = points.indices.filter { points[$0].x.isFinite && points[$0].y.isFinite }
    return finite.filter { own in
      !finite.contains { other in
        let (dx, dy) = (
          sign * (points[other].x - points[own].x), points[other].y - points[own].y
        )
        return dx <= 0 && dy <= 0 && (dx < 0 || dy < 0)
      }
    }.sorted { sign * points[$0].x < sign * points[$1].x }
  }
}
