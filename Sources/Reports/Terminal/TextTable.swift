/// A plain table for terminals: columns aligned by spaces, header underlined.
public struct TextTable: Sendable {
  /// Where a column's text stands.
  public enum Alignment: Sendable {
    case leading
    case trailing
  }

  private let header: [String]
  private let alignments: [Alignment]
  private var rows: [[String]] = []

  /// - Parameter alignments: one per column; missing ones are trailing, the first leading.
  public init(header: [String], alignments: [Alignment] = []) {
    self.header = header
    self.alignments = header.indices.map {
      $0 < alignments.count ? alignments[$0] : $0 == 0 ? .leading : .trailing
    }
  }

  /// Adds a row; missing cells are empty, surplus cells are dropped.
  public mutating func add(_ cells: [String]) {
    rows.append(header.indices.map { $0 < cells.count ? cells[$0] : "" })
  }

  /// The lines of the table, without trailing spaces.
  public func lines() -> [String] {
    let widths = header.indices.map { column in
      ([header] + rows).map { $0[column].count }.max() ?? 0
    }
    let rule = widths.map { String(repeating: "-", count: $0) }
    return ([header, rule] + rows).map { cells in
      var line = zip(cells.indices, cells).map { column, cell in
        Self.padded(cell, widths[column], alignments[column])
      }.joined(separator: "  ")
      while line.last == " " { line.removeLast() }
      return line
    }
  }

  /// The table as text ending with a line feed.
  public func text() -> String { lines().map { $0 + "\n" }.joined() }

  static func padded(_ text: String, _ width: Int, _ alignment: Alignment) -> String {
    let space = String(repeating: " ", count: max(0, width - text.count))
    return alignment == .leading ? text + space : space + text
  }
}
