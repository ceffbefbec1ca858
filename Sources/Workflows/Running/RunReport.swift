import Formats
import Numerics
import Reports

/// Writes `report.html` and `report.md` of a finished run from its results and its log.
struct RunReport {
  let pipeline: Pipeline
  let state: RunState
  let context: Context

  /// Writes both files.
  func write() throws {
    let document = try document()
    try Files.write(document.html(), to: "\(state.folder)/report.html")
    try Files.write(document.markdown(), to: "\(state.folder)/report.md")
  }

  private func document() throws -> ReportDocument {
    let tables = RunTables(state, pipeline)
    let log = try Self.steps(of: "\(state.folder)/run.jsonl")
    var document = ReportDocument(
      title: pipeline.name, subtitle: "From a dense model to a Mixture of Experts")
    var results: [ReportDocument.Block] = [.table(tables.losses)]
    if let exact = tables.exactMatches { results.append(.table(exact)) }
    if let tasks = tables.tasks { results.append(.table(tasks)) }
    results.append(.chart(lossBars(tables)))
    document.add("Results", results)
    if !log.isEmpty { document.add("Training", [.chart(lossCurve(log))] + domainCurves(log)) }
    let loads = expertLoads(tables)
    if !loads.isEmpty { document.add("Expert load", loads) }
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

  /// Cross-entropy per domain over all stages, one step axis.
  private func domainCurves(_ log: [ConfigurationFile]) -> [ReportDocument.Block] {
    var series: [String: [(x: Double, y: Double)]] = [:]
    var order: [String] = []
    for (index, line) in log.enumerated() {
      for (domain, value) in line["domains"]?.object ?? JSONObject() {
        guard let loss = value.double else { continue }
        if series[domain] == nil { order.append(domain) }
        series[domain, default: []].append((Double(index + 1), loss))
      }
    }
    guard !order.isEmpty else { return [] }
    return [
      .chart(
        LineChart(
          title: "Cross-entropy per domain", xLabel: "step over all stages",
          yLabel: "nats per token",
          series: order.map { LineChart.Series($0, series[$0] ?? []) }))
    ]
  }

  /// Layer × expert share of the final model, per domain, with the figures behind it.
  private func expertLoads(_ tables: RunTables) -> [ReportDocument.Block] {
    guard let last = tables.rows.last else { return [] }
    return tables.domains.flatMap { domain -> [ReportDocument.Block] in
      let layers = last.scores["domains"]?[domain]?["load"]?.array ?? []
      guard !layers.isEmpty else { return [] }
      let shares = layers.map { ($0["shares"]?.array ?? []).map { $0.double ?? 0 } }
      let experts = shares.map(\.count).max() ?? 0
      var table = ReportTable(
        caption: "\(domain): balance of each layer",
        header: ["layer", "part", "normalised entropy", "largest share", "unused experts"])
      for layer in layers {
        table.add([
          "\(layer["layer"]?.int ?? 0)", layer["part"]?.string ?? "mlp",
          Decimals.fixed(layer["normalized_entropy"]?.double ?? 0, places: 3),
          Decimals.fixed((layer["max_share"]?.double ?? 0) * 100, places: 1) + " %",
          "\(layer["dead_experts"]?.int ?? 0)",
        ])
      }
      let map = HeatMap(
        title: "\(last.model), \(domain): share of each expert", rowLabel: "layer",
        columnLabel: "expert",
        rows: layers.map {
          "\($0["layer"]?.int ?? 0)" + ($0["part"]?.string == "attention" ? " attention" : "")
        },
        columns: (0..<experts).map { "\($0)" }, values: shares)
      return [.chart(map), .table(table)]
    }
  }

  // MARK: - Provenance

  private var facts: [(name: String, value: String)] {
    let device = context.deviceDescription
    return [
      ("herd", ToolkitVersion.current), ("Compiler", ToolkitVersion.compiler),
      ("Pipeline", pipeline.path), ("Seed", "\(pipeline.seed)"),
      ("Device", "\(device.kind) \(device.architecture), \(device.threads) threads"),
      ("BLAS", device.blas),
    ]
  }

  private var settings: String { pipeline.json.serialized(indent: 2) }

  /// The step lines of the run log.
  private static func steps(of path: String) throws -> [ConfigurationFile] {
    guard Files.exists(path) else { return [] }
    return try Files.read(path, maximumBytes: 1 << 30).split(separator: UInt8(ascii: "\n"))
      .compactMap { line in
        guard let object = try? JSON.parse(Array(line)).object, object["event"]?.string == "step"
        else { return nil }
        return ConfigurationFile(path: path, object: object)
      }
  }
}
