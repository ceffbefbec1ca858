/// Collects SVG elements; text and attribute values are escaped, coordinates short.
///
/// Axes and text use `currentColor`, so a chart inlined in a page follows its light or dark theme.
struct SVGCanvas {
  private let width: Double
  private let height: Double
  private let label: String
  private var body = ""

  init(width: Double, height: Double, label: String) {
    self.width = width
    self.height = height
    self.label = label
  }

  /// A straight line; faint ones are grid lines.
  mutating func line(
    _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, faint: Bool = false
  ) {
    body += "<line x1=\"\(n(x1))\" y1=\"\(n(y1))\" x2=\"\(n(x2))\" y2=\"\(n(y2))\""
    body += " stroke=\"currentColor\" stroke-opacity=\"\(faint ? "0.15" : "0.6")\"/>\n"
  }

  mutating func polyline(
    _ points: [(x: Double, y: Double)], colour: String, faint: Bool = false
  ) {
    if points.count == 1 {
      body += "<circle cx=\"\(n(points[0].x))\" cy=\"\(n(points[0].y))\" r=\"2.5\""
      body += " fill=\"\(colour)\"/>\n"
      return
    }
    let path = points.map { "\(n($0.x)),\(n($0.y))" }.joined(separator: " ")
    body += "<polyline fill=\"none\" stroke=\"\(colour)\" stroke-width=\"1.8\""
    if faint { body += " stroke-opacity=\"0.35\"" }
    body += " stroke-linejoin=\"round\" points=\"\(path)\"/>\n"
  }

  /// A dashed line across the plot, such as a baseline.
  mutating func dashedLine(_ x1: Double, _ y: Double, _ x2: Double, colour: String) {
    body += "<line x1=\"\(n(x1))\" y1=\"\(n(y))\" x2=\"\(n(x2))\" y2=\"\(n(y))\""
    body += " stroke=\"\(colour)\" stroke-width=\"1.5\" stroke-dasharray=\"6 4\"/>\n"
  }

  /// A coloured line from one height to another at `x`, such as the spread of a value.
  mutating func span(_ x: Double, _ y1: Double, _ y2: Double, colour: String) {
    body += "<line x1=\"\(n(x))\" y1=\"\(n(y1))\" x2=\"\(n(x))\" y2=\"\(n(y2))\""
    body += " stroke=\"\(colour)\" stroke-width=\"5\" stroke-opacity=\"0.35\"/>\n"
  }

  /// A filled circle; the tip is shown when the pointer rests on it.
  mutating func circle(_ x: Double, _ y: Double, _ radius: Double, colour: String, tip: String) {
    body += "<circle cx=\"\(n(x))\" cy=\"\(n(y))\" r=\"\(n(radius))\" fill=\"\(colour)\">"
    body += "<title>\(Markup.escaped(tip))</title></circle>\n"
  }

  /// A filled rectangle; the tip is shown when the pointer rests on it.
  mutating func rectangle(
    _ x: Double, _ y: Double, _ width: Double, _ height: Double, colour: String,
    opacity: Double = 1, tip: String = ""
  ) {
    body += "<rect x=\"\(n(x))\" y=\"\(n(y))\" width=\"\(n(width))\" height=\"\(n(height))\""
    body += " fill=\"\(colour)\""
    if opacity < 1 { body += " fill-opacity=\"\(Decimals.trimmed(opacity, places: 3))\"" }
    body += tip.isEmpty ? "/>\n" : "><title>\(Markup.escaped(tip))</title></rect>\n"
  }

  enum Anchor: String {
    case start
    case middle
    case end
  }

  mutating func text(
    _ text: String, _ x: Double, _ y: Double, anchor: Anchor = .start, size: Int = 12,
    bold: Bool = false, turned: Bool = false
  ) {
    body += "<text x=\"\(n(x))\" y=\"\(n(y))\" text-anchor=\"\(anchor.rawValue)\""
    if size != 12 { body += " font-size=\"\(size)\"" }
    if bold { body += " font-weight=\"600\"" }
    if turned { body += " transform=\"rotate(-90 \(n(x)) \(n(y)))\"" }
    body += ">\(Markup.escaped(text))</text>\n"
  }

  /// Coloured squares with names, from left to right.
  mutating func legend(_ names: [String], _ x: Double, _ y: Double) {
    var x = x
    for (index, name) in names.enumerated() {
      rectangle(x, y - 9, 10, 10, colour: Palette.colour(index))
      text(name, x + 15, y)
      x += 15 + Self.textWidth(name) + 18
    }
  }

  /// A rough width of a text of 12 px; enough to keep legend entries apart.
  static func textWidth(_ text: String) -> Double { Double(text.count) * 6.8 }

  /// The whole `<svg>` element.
  func svg() -> String {
    """
    <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(n(width)) \(n(height))" \
    width="\(n(width))" height="\(n(height))" role="img" aria-label="\(Markup.escaped(label))" \
    font-family="system-ui, sans-serif" font-size="12" fill="currentColor">
    \(body)</svg>

    """
  }

  private func n(_ value: Double) -> String { Decimals.trimmed(value, places: 1) }
}

/// Eight hues of middle lightness, legible on white and on near-black.
enum Palette {
  static let colours = [
    "#3b82c4", "#d9822b", "#3a9d6e", "#c0507f", "#8a6fc0", "#94902e", "#4aa3b5", "#a86f52",
  ]

  static func colour(_ index: Int) -> String { colours[index % colours.count] }
}
