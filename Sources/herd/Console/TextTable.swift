/// Rows of cells in aligned columns.
struct TextTable {
  private var rows: [[String]] = []
  private let alignsRight: Bool

  /// A table with a first line of column names.
  /// - Parameter alignsRight: Whether all columns but the first hold numbers.
  init(_ header: [String] = [], alignsRight: Bool = false) {
    self.alignsRight = alignsRight
    if !header.isEmpty { rows.append(header) }
  }

  /// Appends a row.
  mutating func append(_ cells: String...) { rows.append(cells) }

  /// Appends a row.
  mutating func append(_ cells: [String]) { rows.append(cells) }

  /// The lines, each ending in a newline.
  var text: String {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in
      rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    return rows.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        line += column > 0 ? "  " : ""
        if alignsRight, column > 0 {
          line += padding + cell
        } else {
          line += column == row.count - 1 ? cell : cell + padding
        }
      }
      return line + "\n"
    }.joined()
  }
}
