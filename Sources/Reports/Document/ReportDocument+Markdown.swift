extension ReportDocument {
  /// The report as Markdown (GitHub tables); charts are named, not drawn.
  public func markdown() -> String {
    var text = "# \(Markup.markdown(title))\n"
    if !subtitle.isEmpty { text += "\n\(Markup.markdown(subtitle))\n" }
    for section in sections {
      text += "\n## \(Markup.markdown(section.heading))\n"
      for block in section.blocks { text += "\n" + Self.markdown(block) }
    }
    return text
  }

  private static func markdown(_ block: Block) -> String {
    switch block {
    case .prose(let text): return Markup.markdown(text) + "\n"
    case .code(let text):
      // A fence longer than any run of backquotes inside cannot be closed by the text.
      let fence = String(repeating: "`", count: max(3, longestBackquoteRun(text) + 1))
      return "\(fence)\n\(text)\(text.hasSuffix("\n") ? "" : "\n")\(fence)\n"
    case .table(let table): return table.markdown()
    case .facts(let facts):
      return facts.map { "- \(Markup.markdown($0.name)): \(Markup.markdown($0.value))\n" }.joined()
    case .chart(let title, _): return "Chart in the HTML report: \(Markup.markdown(title))\n"
    }
  }

  private static func longestBackquoteRun(_ text: String) -> Int {
    var (longest, run) = (0, 0)
    for character in text {
      run = character == "`" ? run + 1 : 0
      longest = max(longest, run)
    }
    return longest
  }
}

extension ReportTable {
  /// The table as GitHub Markdown, numbers to the right.
  public func markdown() -> String {
    func row(_ cells: [String]) -> String {
      "| " + cells.map(Markup.markdown).joined(separator: " | ") + " |\n"
    }
    let rule = header.indices.map { $0 < textColumns ? "---" : "---:" }
    let caption = self.caption.isEmpty ? "" : Markup.markdown(self.caption) + "\n\n"
    return caption + row(header) + "| " + rule.joined(separator: " | ") + " |\n"
      + rows.map(row).joined()
  }
}
