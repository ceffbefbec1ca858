/// A report as content: titled sections of prose, tables, facts and charts.
///
/// The same content renders as one self-contained HTML page and as Markdown.
public struct ReportDocument: Sendable {
  /// The title of the whole report.
  public let title: String
  /// One line below the title, such as the command that made the report.
  public let subtitle: String
  /// The sections in order.
  public private(set) var sections: [Section] = []

  /// A heading and what stands below it.
  public struct Section: Sendable {
    public let heading: String
    public var blocks: [Block]

    public init(_ heading: String, _ blocks: [Block] = []) {
      self.heading = heading
      self.blocks = blocks
    }
  }

  /// One piece of content.
  public enum Block: Sendable {
    /// A paragraph of plain text.
    case prose(String)
    /// Text kept as it is, in a fixed-width face, such as a command or settings.
    case code(String)
    /// A table; the first columns are text, the others numbers.
    case table(ReportTable)
    /// Names and values, such as hashes, versions and settings.
    case facts([(name: String, value: String)])
    /// A chart for HTML; Markdown names it only, since it cannot hold one.
    case chart(title: String, svg: String)
  }

  public init(title: String, subtitle: String = "") {
    self.title = title
    self.subtitle = subtitle
  }

  /// Adds a section at the end.
  public mutating func add(_ section: Section) { sections.append(section) }

  /// Adds a section with these blocks at the end.
  public mutating func add(_ heading: String, _ blocks: [Block]) {
    sections.append(Section(heading, blocks))
  }
}

/// A table of texts with an optional caption.
public struct ReportTable: Sendable {
  public let caption: String
  public let header: [String]
  /// Columns that are text, from the first on; the others are numbers.
  public let textColumns: Int
  public private(set) var rows: [[String]]

  public init(
    caption: String = "", header: [String], textColumns: Int = 1, rows: [[String]] = []
  ) {
    self.caption = caption
    self.header = header
    self.textColumns = textColumns
    self.rows = []
    for row in rows { add(row) }
  }

  /// Adds a row; missing cells are empty, surplus cells are dropped.
  public mutating func add(_ cells: [String]) {
    rows.append(header.indices.map { $0 < cells.count ? cells[$0] : "" })
  }

  /// The same table for a terminal.
  public var text: TextTable {
    var table = TextTable(
      header: header, alignments: Array(repeating: .leading, count: textColumns))
    for row in rows { table.add(row) }
    return table
  }
}

extension ReportDocument.Block {
  public static func chart(_ chart: LineChart) -> Self {
    .chart(title: chart.title, svg: chart.svg())
  }
  public static func chart(_ chart: BarChart) -> Self {
    .chart(title: chart.title, svg: chart.svg())
  }
  public static func chart(_ chart: ScatterChart) -> Self {
    .chart(title: chart.title, svg: chart.svg())
  }
  public static func chart(_ chart: HeatMap) -> Self {
    .chart(title: chart.title, svg: chart.svg())
  }
}
