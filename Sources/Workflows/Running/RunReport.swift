import Formats
import Numerics
import Reports

/// Writes `report.html` and `report.md` of a finished run from its results and its log.
struct RunReport {
  let pipeline: Pipeline
  let state: RunState
  /// The device of the run; `nil` where a report is made again of a run that did not note it.
  let device: JSON?

  /// Writes both files.
  func write() throws {
    let document = try document()
    try Files.write(document.html(), to: "\(state.folder)/report.html")
    try Files.write(document.markdown(), to: "\(state.folder)/report.md")
  }

  private func document() throws -> ReportDocument {
    let tables = RunTables(state, pipeline)
    let log = try RunCharts.steps(of: "\(state.folder)/run.jsonl")
    var document = ReportDocument(
      title: pipeline.name, subtitle: "From a dense model to a Mixture of Experts")
    var results: [ReportDocument.Block] = [.table(tables.losses)]
    if let exact = tables.exactMatches { results.append(.table(exact)) }
    if let tasks = tables.tasks { results.append(.table(tasks)) }
    results.append(.chart(lossBars(tables)))
    document.add("Results", results)
    if !log.isEmpty {
      let losses = domainCurves(
        log, key: "domains", title: "Cross-entropy per domain", yLabel: "nats per token")
      let weights = domainCurves(
        log, key: "domain_weights", title: "Share of each domain", yLabel: "share of sequences")
      document.add("Training", [.chart(lossCurve(log))] + losses + weights)
    }
    let routing = try RunCharts.routing(ofFolder: state.folder)
    if !routing.isEmpty { document.add("Experts", routing) }
    document.add("Provenance", [.facts(facts), .code(settings)])
    return document
  }

  // MARK: - Charts

  private func lossBars(_ tables: RunTables) -> BarChart {
    BarChart(
      title: "Validation loss per domain", yLabel: "nats per token", groups: tables.domains,
      series: tables.rows.map { row in
        (row.model, tables.domains.map { tables.loss(row, $0) ?? .nan })
      })
  }

  private func lossCurve(_ log: [ConfigurationFile]) -> LineChart {
    LineChart(
      title: "Training loss", xLabel: "step", yLabel: "total loss",
      series: pipeline.stages.map { stage in
        LineChart.Series(
          stage.name,
          log.filter { $0["stage"]?.string == stage.name }.compactMap { line in
            guard let step = line["step"]?.double, let loss = line["loss"]?.double else {
              return nil
            }
            return (step, loss)
          })
      })
  }

  /// A figure per domain over all stages, one step axis; nothing where no step has it.
  private func domainCurves(
    _ log: [ConfigurationFile], key: String, title: String, yLabel: String
  ) -> [ReportDocument.Block] {
    var series: [String: [(x: Double, y: Double)]] = [:]
    var order: [String] = []
    for (index, line) in log.enumerated() {
      for (domain, value) in line[key]?.object ?? JSONObject() {
        guard let figure = value.double else { continue }
        if series[domain] == nil { order.append(domain) }
        series[domain, default: []].append((Double(index + 1), figure))
      }
    }
    guard !order.isEmpty else { return [] }
    return [
      .chart(
        LineChart(
          title: title, xLabel: "step over all stages", yLabel: yLabel,
          series: order.map { LineChart.Series($0, series[$0] ?? []) }))
    ]
  }

  // MARK: - Provenance

  private var facts: [(name: String, value: String)] {
    var facts: [(name: String, value: String)] = [
      ("herd", ToolkitVersion.current), ("Compiler", ToolkitVersion.compiler),
      ("Pipeline", pipeline.path), ("Seed", "\(pipeline.seed)"),
    ]
    if let device {
      facts += [
        ("Device", device.deviceWords), ("BLAS", device["blas"]?.string ?? ""),
      ]
    }
    return facts
  }

  private var settings: String { pipeline.json.serialized(indent: 2) }
}
