import Glibc

/// Points of several kinds, with baselines, the Pareto front and spreads, such as loss against cost.
public struct ScatterChart: Sendable {
  /// One point.
  public struct Point: Sendable {
    /// A short text beside the point.
    public let label: String
    public let x: Double
    public let y: Double
    /// The smallest and largest y behind it; nil for one value.
    public let spread: ClosedRange<Double>?

    public init(_ label: String, x: Double, y: Double, spread: ClosedRange<Double>? = nil) {
      self.label = label
      self.x = x
      self.y = y
      self.spread = spread
    }
  }

  /// Points of one colour.
  public struct Series: Sendable {
    /// The name in the legend.
    public let name: String
    public let points: [Point]
    /// Whether a line joins the points in their order.
    public let isJoined: Bool

    public init(_ name: String, _ points: [Point], isJoined: Bool = false) {
      self.name = name
      self.points = points
      self.isJoined = isJoined
    }
  }

  /// How x is spaced.
  public enum Spacing: Sendable {
    case linear
    /// Equal factors take equal space; ticks at powers of two.
    case powersOfTwo
  }

  public let title: String
  public let xLabel: String
  public let yLabel: String
  public let series: [Series]
  /// Horizontal lines with names.
  public let baselines: [(name: String, y: Double)]
  /// Where a Pareto front is drawn, what is better along x.
  public let front: ParetoFront.Direction?
  public let spacing: Spacing

  public init(
    title: String, xLabel: String, yLabel: String, series: [Series],
    baselines: [(name: String, y: Double)] = [], front: ParetoFront.Direction? = nil,
    spacing: Spacing = .linear
  ) {
    self.title = title
    self.xLabel = xLabel
    self.yLabel = yLabel
    self.series = series
    self.baselines = baselines.filter { $0.y.isFinite }
    self.front = front
    self.spacing = spacing
  }

  /// All points that can be drawn.
  private var drawn: [(series: Int, point: Point)] {
    series.enumerated().flatMap { index, series in
      series.points.filter { place($0.x).isFinite && $0.y.isFinite }.map {
        (series: index, point: $0)
      }
    }
  }

  /// The chart as an `<svg>` element, 640 × 320.
  public func svg() -> String {
    let points = drawn
    let heights =
      points.flatMap { [$0.point.y, $0.point.spread?.lowerBound, $0.point.spread?.upperBound] }
      .compactMap { $0 } + baselines.map(\.y)
    let frame = PlotFrame(
      title: title, xLabel: xLabel, yLabel: yLabel, legend: series.map(\.name),
      y: AxisScale(covering: heights))
    let x = AxisScale(covering: points.map { place($0.point.x) }, tickGoal: 6)
    func across(_ value: Double) -> Double { frame.x(0.03 + 0.9 * x.position(place(value))) }
    var canvas = frame.canvas()
    for tick in ticks(x) {
      canvas.line(across(tick.value), frame.bottom, across(tick.value), frame.bottom + 4)
      canvas.text(tick.label, across(tick.value), frame.bottom + 18, anchor: .middle)
    }
    for (index, line) in baselines.enumerated() {
      let colour = Palette.colour(series.count + index)
      canvas.dashedLine(frame.left, frame.y(line.y), frame.right, colour: colour)
      canvas.text(
        line.name, frame.right, frame.y(line.y) - 4, anchor: .end, size: 10)
    }
    drawFront(points.map(\.point), across, frame, &canvas)
    for (index, series) in series.enumerated() where series.isJoined {
      let own = points.filter { $0.series == index }.map(\.point)
      guard own.count > 1 else { continue }
      canvas.polyline(own.map { (across($0.x), frame.y($0.y)) }, colour: Palette.colour(index))
    }
    for (index, point) in points {
      let (px, py) = (across(point.x), frame.y(point.y))
      let colour = Palette.colour(index)
      if let spread = point.spread, spread.upperBound > spread.lowerBound {
        canvas.span(px, frame.y(spread.lowerBound), frame.y(spread.upperBound), colour: colour)
      }
      canvas.circle(
        px, py, 4, colour: colour,
        tip:
          "\(series[index].name), \(point.label): \(Decimals.short(point.x)), \(Decimals.trimmed(point.y, places: 4))"
      )
    }
    for label in placedLabels(points, across, frame) {
      canvas.text(label.text, label.x, label.y, size: 10)
    }
    return canvas.svg()
  }

  private func drawFront(
    _ points: [Point], _ across: (Double) -> Double, _ frame: PlotFrame, _ canvas: inout SVGCanvas
  ) {
    guard let front else { return }
    let indices = ParetoFront.indices(of: points.map { ($0.x, $0.y) }, x: front)
    guard indices.count > 1 else { return }
    // Steps: between two points of the front nothing better than the worse of both is known.
    var corners: [(x: Double, y: Double)] = []
    for index in indices {
      let (x, y) = (across(points[index].x), frame.y(points[index].y))
      if let last = corners.last { corners.append((x, last.y)) }
      corners.append((x, y))
    }
    canvas.polyline(corners, colour: "currentColor", faint: true)
  }

  /// Labels to the right of their points, moved down where they would lie on one another.
  private func placedLabels(
    _ points: [(series: Int, point: Point)], _ across: (Double) -> Double, _ frame: PlotFrame
  ) -> [(text: String, x: Double, y: Double)] {
    var placed: [(text: String, x: Double, y: Double)] = []
    let wanted = points.filter { !$0.point.label.isEmpty }.map {
      (text: $0.point.label, x: across($0.point.x) + 7, y: frame.y($0.point.y) + 3.5)
    }.sorted { $0.y < $1.y }
    for label in wanted {
      var y = label.y
      let width = SVGCanvas.textWidth(label.text) * 0.85
      while placed.contains(where: { other in
        (other.y - y).magnitude < 10.5 && other.x < label.x + width
          && label.x < other.x + SVGCanvas.textWidth(other.text) * 0.85
      }) {
        y += 2
      }
      placed.append((label.text, label.x, y))
    }
    return placed
  }

  // MARK: - The horizontal axis

  /// A value where the axis is linear.
  private func place(_ x: Double) -> Double {
    switch spacing {
    case .linear: x
    case .powersOfTwo: x > 0 ? log2(x) : .nan
    }
  }

  private func ticks(_ scale: AxisScale) -> [(value: Double, label: String)] {
    switch spacing {
    case .linear: return scale.ticks.map { ($0, scale.label($0)) }
    case .powersOfTwo:
      let powers =
        Int(
          scale.lower.rounded(.up))...max(
          Int(scale.lower.rounded(.up)), Int(scale.upper.rounded(.down)))
      return powers.map { power in
        let value = Double(sign: .plus, exponent: power, significand: 1)
        return (value, Decimals.trimmed(value, places: 4))
      }
    }
  }
}
