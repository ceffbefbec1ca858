/// A table of numbers as shades, such as the load of each expert in each layer.
public struct HeatMap: Sendable {
  public let title: String
  /// What a row is, such as `layer`.
  public let rowLabel: String
  /// What a column is, such as `expert`.
  public let columnLabel: String
  public let rows: [String]
  public let columns: [String]
  /// `values[row][column]`; rows may be shorter than `columns`, as layers may differ.
  public let values: [[Double]]

  public init(
    title: String, rowLabel: String, columnLabel: String, rows: [String], columns: [String],
    values: [[Double]]
  ) {
    self.title = title
    self.rowLabel = rowLabel
    self.columnLabel = columnLabel
    self.rows = rows
    self.columns = columns
    self.values = values
  }

  private static let tipLimit = 2048

  /// The chart as an `<svg>` element; its height follows the number of rows.
  public func svg() -> String {
    let (left, top, right) = (74.0, 60.0, 624.0)
    let cell = min(56, (right - left) / Double(max(columns.count, 1)))
    let rowHeight = min(26, max(14, cell))
    let bottom = top + rowHeight * Double(rows.count)
    var canvas = SVGCanvas(width: 640, height: bottom + 40, label: title)
    canvas.text(title, left, 18, size: 14, bold: true)
    canvas.text(columnLabel, left, 38)
    canvas.text(rowLabel, left - 8, 38, anchor: .end)
    let every = max(1, Int((24 / cell).rounded(.up)))
    for (column, name) in columns.enumerated() where column % every == 0 {
      canvas.text(name, left + (Double(column) + 0.5) * cell, top - 6, anchor: .middle, size: 10)
    }
    let finite = values.joined().filter(\.isFinite)
    let (low, high) = (min(0, finite.min() ?? 0), finite.max() ?? 1)
    // Tips would make a page of large maps heavy.
    let hasTips = rows.count * columns.count <= Self.tipLimit
    for (row, name) in rows.enumerated() {
      let y = top + Double(row) * rowHeight
      canvas.text(name, left - 8, y + rowHeight / 2 + 4, anchor: .end, size: 10)
      guard row < values.count else { continue }
      for (column, value) in values[row].prefix(columns.count).enumerated() {
        guard value.isFinite else { continue }
        let x = left + Double(column) * cell
        let share = high > low ? (value - low) / (high - low) : 0
        canvas.rectangle(
          x + 0.5, y + 0.5, cell - 1, rowHeight - 1, colour: Palette.colours[0],
          opacity: 0.04 + 0.95 * share,
          tip: hasTips
            ? "\(rowLabel) \(name), \(columnLabel) \(columns[column]): \(label(value))" : "")
        if cell >= 34 {
          canvas.text(
            label(value), x + cell / 2, y + rowHeight / 2 + 4, anchor: .middle, size: 10)
        }
      }
    }
    canvas.text("lightest \(label(low)), darkest \(label(high))", left, bottom + 24, size: 10)
    return canvas.svg()
  }

  private func label(_ value: Double) -> String { Decimals.trimmed(value, places: 3) }
}
