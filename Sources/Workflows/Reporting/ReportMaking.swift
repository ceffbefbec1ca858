import Formats
import Reports

/// `herd report`: makes the report of the folder of a run, a sweep or a ladder again, or compares runs.
public struct ReportMaking {
  /// The folder of a run, a sweep or a ladder.
  public let folder: String
  /// Run folders to compare it with; empty to make its own report.
  public let others: [String]

  /// A report of `folder`, or a comparison of it with others.
  public init(_ folder: String, comparedWith others: [String] = []) {
    self.folder = folder
    self.others = others
  }

  /// What was written.
  public struct Result: Sendable {
    /// The page.
    public let html: String
    /// The same as Markdown.
    public let markdown: String
    /// What to print for people.
    public let text: String

    /// What to print for machines.
    public var json: JSON { ["html": JSON(html), "markdown": JSON(markdown)] }
  }

  /// Writes the files from what the folders hold; nothing is computed again.
  public func execute() throws -> Result {
    guard others.isEmpty else {
      let comparison = try RunComparison([folder] + others)
      let paths = try comparison.write(to: folder)
      return Result(
        html: paths.html, markdown: paths.markdown,
        text: "\(comparison.losses.text.text())\nwrote \(paths.html) and \(paths.markdown)")
    }
    if Files.exists("\(folder)/\(SweepRecord.fileName)") {
      let record = try SweepRecord(contentsOf: folder)
      try SweepReport(record).write()
      return result(record.text)
    }
    if Files.exists("\(folder)/\(ScalingRecord.fileName)") {
      var record = try ScalingRecord(contentsOf: folder)
      record.conclude()
      try record.writeReport()
      return result(record.text)
    }
    let state = try RunState(existing: folder)
    let pipeline = try Pipeline(path: "\(folder)/run.json", object: state.pipeline)
    try RunReport(
      pipeline: pipeline, state: state, device: state.result(of: "report")?["device"]
    ).write()
    return result(RunTables(state, pipeline).text)
  }

  private func result(_ tables: String) -> Result {
    let (html, markdown) = ("\(folder)/report.html", "\(folder)/report.md")
    return Result(html: html, markdown: markdown, text: "\(tables)\nwrote \(html) and \(markdown)")
  }
}
