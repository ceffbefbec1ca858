extension ReportDocument {
  /// One HTML page without scripts or outside files, for light and dark screens.
  public func html() -> String {
    let body = sections.enumerated().map { index, section in
      "<section id=\"s\(index + 1)\">\n<h2>\(Markup.escaped(section.heading))</h2>\n"
        + section.blocks.map(Self.html).joined() + "</section>\n"
    }
    let subtitle =
      self.subtitle.isEmpty ? "" : "<p class=\"sub\">\(Markup.escaped(self.subtitle))</p>\n"
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(Markup.escaped(title))</title>
      <style>
      \(Self.style)
      </style>
      </head>
      <body>
      <main>
      <h1>\(Markup.escaped(title))</h1>
      \(subtitle)\(body.joined())</main>
      </body>
      </html>

      """
  }

  private static func html(_ block: Block) -> String {
    switch block {
    case .prose(let text): "<p>\(Markup.escaped(text))</p>\n"
    case .code(let text): "<pre><code>\(Markup.escaped(text))</code></pre>\n"
    case .table(let table): html(table)
    case .facts(let facts):
      "<dl>\n"
        + facts.map {
          "<dt>\(Markup.escaped($0.name))</dt><dd>\(Markup.escaped($0.value))</dd>\n"
        }.joined() + "</dl>\n"
    case .chart(_, let svg): "<figure>\n\(svg)</figure>\n"
    }
  }

  private static func html(_ table: ReportTable) -> String {
    func row(_ cells: [String], _ tag: String) -> String {
      "<tr>"
        + cells.enumerated().map { column, cell in
          let start = column > 0 && column < table.textColumns ? "\(tag) class=\"text\"" : tag
          return "<\(start)>\(Markup.escaped(cell))</\(tag)>"
        }.joined() + "</tr>\n"
    }
    let caption =
      table.caption.isEmpty ? "" : "<caption>\(Markup.escaped(table.caption))</caption>\n"
    return "<table>\n\(caption)<thead>\n\(row(table.header, "th"))</thead>\n<tbody>\n"
      + table.rows.map { row($0, "td") }.joined() + "</tbody>\n</table>\n"
  }

  private static let style = """
    :root { color-scheme: light dark; --line: #8884; --soft: #8881; }
    body { margin: 0; font: 15px/1.55 system-ui, sans-serif; }
    main { max-width: 64rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
    h1 { font-size: 1.7rem; margin: 0; }
    h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
    .sub { opacity: .7; margin: .2rem 0 0; }
    table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
    caption { text-align: left; opacity: .7; padding-bottom: .3rem; }
    th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
    th:first-child, td:first-child { text-align: left; }
    td { font-variant-numeric: tabular-nums; white-space: nowrap; }
    th.text, td.text { text-align: left; white-space: normal; }
    p { max-width: 46rem; }
    dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
    dt { opacity: .7; }
    dd { margin: 0; overflow-wrap: anywhere; }
    pre { background: var(--soft); padding: .8rem; overflow-x: auto; }
    figure { margin: 1.2rem 0; }
    svg { max-width: 100%; height: auto; }
    """
}
