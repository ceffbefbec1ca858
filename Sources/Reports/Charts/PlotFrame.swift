/// Title, legend, vertical axis and labels that line and bar charts share.
struct PlotFrame {
  static let width = 640.0
  static let height = 320.0

  let title: String
  let xLabel: String
  let yLabel: String
  let legend: [String]
  let y: AxisScale

  var left: Double { 62 }
  var right: Double { Self.width - 16 }
  var top: Double {
    guard legend.count > 1 else { return 36 }
    let rows = SVGCanvas.legendRows(legend, left, to: Self.width)
    return 38 + SVGCanvas.legendRow * Double(rows)
  }
  var bottom: Double { Self.height - (xLabel.isEmpty ? 28 : 46) }

  /// A horizontal share of the plot area in canvas units.
  func x(_ share: Double) -> Double { left + share * (right - left) }

  /// A value on the vertical axis in canvas units.
  func y(_ value: Double) -> Double { bottom - y.position(value) * (bottom - top) }

  /// A canvas with everything but the data and the horizontal ticks.
  func canvas() -> SVGCanvas {
    var canvas = SVGCanvas(width: Self.width, height: Self.height, label: title)
    canvas.text(title, left, 18, size: 14, bold: true)
    if legend.count > 1 { canvas.legend(legend, left, 40) }
    for tick in y.ticks {
      canvas.line(left, y(tick), right, y(tick), faint: tick != y.lower)
      canvas.text(y.label(tick), left - 8, y(tick) + 4, anchor: .end)
    }
    if !xLabel.isEmpty {
      canvas.text(xLabel, (left + right) / 2, Self.height - 8, anchor: .middle)
    }
    if !yLabel.isEmpty {
      canvas.text(yLabel, 14, (top + bottom) / 2, anchor: .middle, turned: true)
    }
    return canvas
  }
}
