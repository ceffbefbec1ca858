/// Title, legend, vertical axis and labels that line and bar charts share.
struct PlotFrame {
  static let width = 640.0
  static let height = 320.0

  let title: String
  let xLabel: String
  let yLabel: String
  let legend: [String]
  let y: AxisScale
  /// How the vertical axis is spaced; `y` covers the places of the values.
  var ySpacing = AxisSpacing.linear

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
  func y(_ value: Double) -> Double { bottom - y.position(ySpacing.place(value)) * (bottom - top) }

  /// A canvas with everything but the data and the horizontal ticks.
  func canvas() -> SVGCanvas {
    var canvas = SVGCanvas(width: Self.width, height: Self.height, label: title)
    canvas.text(title, left, 18, size: 14, bold: true)
    if legend.count > 1 { canvas.legend(legend, left, 40) }
    for tick in ySpacing.ticks(y) {
      let at = y(tick.value)
      canvas.line(left, at, right, at, faint: at < bottom - 1e-6)
      canvas.text(tick.label, left - 8, at + 4, anchor: .end)
    }
    // Ticks of an axis that is not linear need not begin where it does.
    if case .linear = ySpacing {} else { canvas.line(left, bottom, right, bottom) }
    if !xLabel.isEmpty {
      canvas.text(xLabel, (left + right) / 2, Self.height - 8, anchor: .middle)
    }
    if !yLabel.isEmpty {
      canvas.text(yLabel, 14, (top + bottom) / 2, anchor: .middle, turned: true)
    }
    return canvas
  }
}
