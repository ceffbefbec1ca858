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
    /// A line of its own in the series' colour, such as a fit: straight from corner to corner.
    public let curve: [(x: Double, y: Double)]

    public init(
      _ name: String, _ points: [Point], isJoined: Bool = false,
      curve: [(x: Double, y: Double)] = []
    ) {
      self.name = name
      self.points = points
      self.isJoined = isJoined
      self.curve = curve
    }
  }

  public let title: String
  public let xLabel: String
  public let yLabel: String
  public let series: [Series]
  /// Horizontal lines with names.
  public let baselines: [(name: String, y: Double)]
  /// Where a Pareto front is drawn, what is better along x.
  public let front: ParetoFront.Direction?
  /// How x is spaced.
  public let spacing: AxisSpacing
  /// How y is spaced.
  public let ySpacing: AxisSpacing

  public init(
    title: String, xLabel: String, yLabel: String, series: [Series],
    baselines: [(name: String, y: Double)] = [], front: ParetoFront.Direction? = nil,
    spacing: AxisSpacing = .linear, ySpacing: AxisSpacing = .linear
  ) {
    self.title = title
    self.xLabel = xLabel
    self.yLabel = yLabel
    self.series = series
    self.baselines = baselines.filter { $0.y.isFinite }
    self.front = front
    self.spacing = spacing
    self.ySpacing = ySpacing
  }

  /// All points that can be drawn.
  private var drawn: [(series: Int, point: Point)] {
    series.enumerated().flatMap { index, series in
      series.points.filter { isShown(x: $0.x, y: $0.y) }.map { (series: index, point: $0) }
    }
  }

  private func isShown(x: Double, y: Double) -> Bool {
    spacing.place(x).isFinite && ySpacing.place(y).isFinite
  }

  /// The chart as an `<svg>` element, 640 × 320.
  public func svg() -> String {
    let points = drawn
    let curves = series.map { $0.curve.filter { isShown(x: $0.x, y: $0.y) } }
    let heights =
      points.flatMap { [$0.point.y, $0.point.spread?.lowerBound, $0.point.spread?.upperBound] }
      .compactMap { $0 } + baselines.map(\.y) + curves.joined().map(\.y)
    let frame = PlotFrame(
      title: title, xLabel: xLabel, yLabel: yLabel, legend: series.map(\.name),
      y: AxisScale(covering: heights.map(ySpacing.place)), ySpacing: ySpacing)
    let x = AxisScale(
      covering: (points.map(\.point.x) + curves.joined().map(\.x)).map(spacing.place), tickGoal: 6)
    func across(_ value: Double) -> Double {
      frame.x(0.03 + 0.9 * x.position(spacing.place(value)))
    }
    var canvas = frame.canvas()
    for tick in spacing.ticks(x) {
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
    for (index, curve) in curves.enumerated() where curve.count > 1 {
      canvas.polyline(
        curve.map { (across($0.x), frame.y($0.y)) }, colour: Palette.colour(index), faint: true)
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
          "\([series[index].name, point.label].filter { !$0.isEmpty }.joined(separator: ", ")): \(number(point.x, places: 2)), \(number(point.y, places: 4))"
      )
    }
    for label in placedLabels(points, across, frame) {
      canvas.text(label.text, label.x, label.y, size: 10)
    }
    return canvas.svg()
  }

  private func number(_ value: Double, places: Int) -> String {
    if value > 0, value < 1e-2 { return Decimals.scientific(value) }
    return value >= 1e3 || places < 4
      ? Decimals.short(value) : Decimals.trimmed(value, places: places)
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
}
