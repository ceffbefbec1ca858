/// Several curves over a common horizontal axis, such as losses over steps.
public struct LineChart: Sendable {
  /// One curve.
  public struct Series: Sendable {
    /// The name in the legend.
    public let name: String
    /// Points in order of x; one with a value that is not finite breaks the curve.
    public let points: [(x: Double, y: Double)]

    public init(_ name: String, _ points: [(x: Double, y: Double)]) {
      self.name = name
      self.points = points
    }
  }

  public let title: String
  public let xLabel: String
  public let yLabel: String
  public let series: [Series]

  public init(title: String, xLabel: String, yLabel: String, series: [Series]) {
    self.title = title
    self.xLabel = xLabel
    self.yLabel = yLabel
    self.series = series
  }

  /// More points than this are averaged in neighbourhoods; the eye could not tell them apart.
  private static let pointLimit = 400

  /// The chart as an `<svg>` element, 640 × 320.
  public func svg() -> String {
    let frame = PlotFrame(
      title: title, xLabel: xLabel, yLabel: yLabel, legend: series.map(\.name),
      y: AxisScale(covering: series.flatMap { $0.points.map(\.y) }))
    let places = series.flatMap { $0.points.map(\.x) }
    let isWhole = places.allSatisfy { $0 == $0.rounded() }
    let x = AxisScale(covering: places, tickGoal: 7, smallestStep: isWhole ? 1 : 0)
    var canvas = frame.canvas()
    for tick in x.ticks {
      let at = frame.x(x.position(tick))
      canvas.line(at, frame.bottom, at, frame.bottom + 4)
      canvas.text(x.label(tick), at, frame.bottom + 18, anchor: .middle)
    }
    for (index, curve) in series.enumerated() {
      for stretch in Self.stretches(curve.points) {
        canvas.polyline(
          Self.thinned(stretch).map { (frame.x(x.position($0.x)), frame.y($0.y)) },
          colour: Palette.colour(index))
      }
    }
    return canvas.svg()
  }

  /// The runs of finite points.
  private static func stretches(_ points: [(x: Double, y: Double)]) -> [[(x: Double, y: Double)]] {
    points.split { !$0.x.isFinite || !$0.y.isFinite }.map(Array.init)
  }

  private static func thinned(_ points: [(x: Double, y: Double)]) -> [(x: Double, y: Double)] {
    guard points.count > pointLimit else { return points }
    let group = (points.count + pointLimit - 1) / pointLimit
    return stride(from: 0, to: points.count, by: group).map { start in
      let part = points[start..<min(start + group, points.count)]
      let count = Double(part.count)
      return (part.reduce(0) { $0 + $1.x } / count, part.reduce(0) { $0 + $1.y } / count)
    }
  }
}
