import Formats
import Reports

/// `report.html` and `report.md` of a ladder's folder.
struct ScalingReport {
  private let record: ScalingRecord
  private let tables: ScalingTables

  init(_ record: ScalingRecord) {
    self.record = record
    tables = ScalingTables(record)
  }

  /// Writes both files.
  func write() throws {
    try Files.write(document.html(), to: "\(record.folder)/report.html")
    try Files.write(document.markdown(), to: "\(record.folder)/report.md")
  }

  private var document: ReportDocument {
    var document = ReportDocument(
      title: record.name, subtitle: "Models from scratch, and how their loss falls with compute")
    document.add("Laws", [.table(tables.laws)] + tables.remarks.map { .prose($0) })
    document.add(
      "Loss",
      [.chart(lossChart), .table(tables.losses)]
        + (tables.surfaces.rows.isEmpty ? [] : [.table(tables.surfaces)]))
    document.add(
      "Best sizes",
      [
        .prose(
          "Lines: the size and the number of tokens with the lowest loss for a compute, by L(N, D). Points: the cells on the frontier."
        ), .chart(optimumChart("Parameters", \.parameters) { $0.parameters }),
        .chart(optimumChart("Tokens", \.tokens) { $0.tokens }),
      ])
    let left = record.rows.filter { !$0.isFinished }
    if !left.isEmpty {
      document.add(
        "Cells without a result",
        [
          .table(
            ReportTable(
              header: ["cell", "status", "reason"], textColumns: 3,
              rows: left.map { [$0.name, $0.text("status"), $0.text("reason")] }))
        ])
    }
    document.add("Provenance", [.facts(facts), .code(record.settings.serialized(indent: 2))])
    return document
  }

  private var facts: [(name: String, value: String)] {
    [
      ("herd", ToolkitVersion.current), ("Compiler", ToolkitVersion.compiler),
      ("Device", record.device.deviceWords),
    ]
      + (record.measured?.sources ?? []).map {
        (
          $0.file,
          "\($0.tokens) tokens, \(Decimals.fixed($0.epochs, places: 2)) epochs at the largest budget"
        )
      }
  }

  // MARK: - Charts

  private var lossChart: ScatterChart {
    chart(title: "Loss against compute", yLabel: "held-out loss, nats") { laws in
      (laws.points.indices.map { $0 }, { $0.loss }, laws.loss?.law)
    }
  }

  private func optimumChart(
    _ title: String, _ law: KeyPath<ScalingFit.Optimum, ScalingFit.Law>,
    of value: @escaping (ScalingPoint) -> Double
  ) -> ScatterChart {
    chart(title: "\(title) of the best model", yLabel: title.lowercased()) { laws in
      (laws.fit.frontier, value, laws.optimum?[keyPath: law].law)
    }
  }

  /// Cells of all architectures over compute, and the lines of laws over the range of the cells.
  private func chart(
    title: String, yLabel: String,
    _ shown: (ScalingLaws) -> (places: [Int], value: (ScalingPoint) -> Double, law: PowerLaw?)
  ) -> ScatterChart {
    let compute = record.laws.flatMap { $0.points.map(\.compute) }
    let ends = [compute.min(), compute.max()].compactMap { $0 }
    return ScatterChart(
      title: title, xLabel: "compute, PFLOP/s-days", yLabel: yLabel,
      series: record.laws.map { laws in
        let (places, value, law) = shown(laws)
        return ScatterChart.Series(
          laws.architecture.rawValue,
          places.map {
            ScatterChart.Point("", x: laws.points[$0].compute, y: value(laws.points[$0]))
          }, curve: law.map { law in ends.map { ($0, law($0)) } } ?? [])
      }, spacing: .logarithmic, ySpacing: .logarithmic)
  }
}
