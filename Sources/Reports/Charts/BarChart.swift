/// Bars side by side in groups, such as the losses of several models per domain.
public struct BarChart: Sendable {
  public let title: String
  public let yLabel: String
  /// The groups' names, from left to right.
  public let groups: [String]
  /// One bar per group for each series; a missing or non-finite value leaves a gap.
  public let series: [(name: String, values: [Double])]

  public init(
    title: String, yLabel: String, groups: [String], series: [(name: String, values: [Double])]
  ) {
    self.title = title
    self.yLabel = yLabel
    self.groups = groups
    self.series = series
  }

  /// The chart as an `<svg>` element, 640 × 320.
  public func svg() -> String {
    let frame = PlotFrame(
      title: title, xLabel: "", yLabel: yLabel, legend: series.map(\.name),
      y: AxisScale(covering: series.flatMap(\.values), includesZero: true))
    var canvas = frame.canvas()
    let slot = (frame.right - frame.left) / Double(max(groups.count, 1))
    let width = min(slot * 0.8 / Double(max(series.count, 1)), 60)
    for (group, name) in groups.enumerated() {
      let centre = frame.left + (Double(group) + 0.5) * slot
      canvas.text(name, centre, frame.bottom + 18, anchor: .middle)
      let first = centre - width * Double(series.count) / 2
      for (index, bars) in series.enumerated() {
        guard group < bars.values.count, bars.values[group].isFinite else { continue }
        let value = bars.values[group]
        let (zero, end) = (frame.y(0), frame.y(value))
        let x = first + Double(index) * width
        canvas.rectangle(
          x + 1, min(zero, end), width - 2, (zero - end).magnitude,
          colour: Palette.colour(index), tip: "\(name), \(bars.name): \(label(value))")
        if width >= 26 {
          canvas.text(label(value), x + width / 2, min(zero, end) - 4, anchor: .middle, size: 10)
        }
      }
    }
    return canvas.svg()
  }

  private func label(_ value: Double) -> String {
    value.magnitude >= 100 ? Decimals.short(value) : Decimals.trimmed(value, places: 3)
  }
}
