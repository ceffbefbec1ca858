import Formats
import Reports

/// Several run folders side by side.
struct RunComparison {
  private struct Entry {
    let name: String
    let state: RunState
    let tables: RunTables
    let log: [ConfigurationFile]
  }

  private let runs: [Entry]

  /// Opens the folders.
  init(_ folders: [String]) throws {
    var entries: [Entry] = []
    for (index, folder) in folders.enumerated() {
      let state = try RunState(existing: folder)
      let pipeline = try Pipeline(path: "\(folder)/run.json", object: state.pipeline)
      var name = folder.lastComponents(1)
      if folders.enumerated().contains(where: { $0 != index && $1.lastComponents(1) == name }) {
        name = folder
      }
      entries.append(
        Entry(
          name: name, state: state, tables: RunTables(state, pipeline),
          log: try RunCharts.steps(of: "\(folder)/run.jsonl")))
    }
    runs = entries
  }

  /// Writes `comparison.html` and `comparison.md` into `folder`.
  func write(to folder: String) throws -> (html: String, markdown: String) {
    let document = document
    let paths = (html: "\(folder)/comparison.html", markdown: "\(folder)/comparison.md")
    try Files.write(document.html(), to: paths.html)
    try Files.write(document.markdown(), to: paths.markdown)
    return paths
  }

  private var document: ReportDocument {
    var document = ReportDocument(
      title: "Comparison of runs", subtitle: runs.map(\.name).joined(separator: ", "))
    var results: [ReportDocument.Block] = [.table(losses)]
    if runs.contains(where: { !$0.tables.rows.isEmpty }) { results.append(.chart(bars)) }
    document.add("Results", results)
    let curves = [
      curve("Training loss", "total loss") { $0["loss"]?.double },
      curve("Cross-entropy in training", "nats per token") {
        $0["terms"]?["cross_entropy"]?.double
      },
    ].compactMap { $0 }
    if !curves.isEmpty { document.add("Training", curves.map { .chart($0) }) }
    document.add("Differing settings", [.table(differences)])
    return document
  }

  /// All domains of all runs.
  private var domains: [String] {
    var domains: [String] = []
    for domain in runs.flatMap(\.tables.domains) where !domains.contains(domain) {
      domains.append(domain)
    }
    return domains
  }

  /// The last model of each run, by domain.
  var losses: ReportTable {
    var table = ReportTable(
      caption: "Validation loss of each run's last model, nats per token",
      header: ["run", "model"] + domains + ["mean", "KL to dense", "same top token"])
    for run in runs {
      guard let row = run.tables.rows.last else {
        table.add([run.name, "not evaluated"])
        continue
      }
      table.add(
        [run.name, row.model] + domains.map { SweepTables.number(run.tables.loss(row, $0)) } + [
          SweepTables.number(row.scores["mean"]?.double),
          SweepTables.number(row.scores["mean_kl"]?.double),
          SweepTables.percent(row.scores["mean_agreement"]?.double),
        ])
    }
    return table
  }

  private var bars: BarChart {
    BarChart(
      title: "Validation loss per domain", yLabel: "nats per token", groups: domains,
      series: runs.compactMap { run in
        run.tables.rows.last.map { row in
          (run.name, domains.map { run.tables.loss(row, $0) ?? .nan })
        }
      })
  }

  /// A figure of the log over all steps of each run; `nil` where none has it.
  private func curve(
    _ title: String, _ label: String, _ value: (ConfigurationFile) -> Double?
  ) -> LineChart? {
    let series = runs.map { run in
      LineChart.Series(
        run.name,
        run.log.enumerated().compactMap { index, line in
          value(line).map { (Double(index + 1), $0) }
        })
    }
    guard series.contains(where: { !$0.points.isEmpty }) else { return nil }
    return LineChart(
      title: title, xLabel: "step over all stages", yLabel: label, series: series)
  }

  /// The settings in which any run differs from the first.
  private var differences: ReportTable {
    var table = ReportTable(header: ["setting"] + runs.map(\.name))
    guard let first = runs.first else { return table }
    var paths: [String] = []
    for run in runs.dropFirst() {
      for path in differingKeys(first.state.pipeline, run.state.pipeline)
      where !paths.contains(path) {
        paths.append(path)
      }
    }
    for path in paths {
      table.add(
        [path]
          + runs.map { run in
            let value = Self.value(at: path, of: .object(run.state.pipeline))
            return value.map { $0.string ?? $0.serialized() } ?? ""
          })
    }
    return table
  }

  /// The value at a path such as `stages[0].losses.distillation`.
  static func value(at path: String, of settings: JSON) -> JSON? {
    var value: JSON? = settings
    for part in path.split(separator: ".") {
      let pieces = part.split(separator: "[")
      if let key = pieces.first { value = value?[String(key)] }
      for index in pieces.dropFirst() {
        guard let position = Int(index.dropLast()), let elements = value?.array,
          elements.indices.contains(position)
        else { return nil }
        value = elements[position]
      }
    }
    return value
  }
}
