import Formats
import Reports

/// `report.html`, `report.md` and `analysis.json` of a sweep folder.
struct SweepReport {
  private let record: SweepRecord
  private let tables: SweepTables

  init(_ record: SweepRecord) {
    self.record = record
    tables = SweepTables(record)
  }

  /// Writes all files.
  func write() throws {
    let overlap = overlap
    let document = try document(overlap)
    try Files.write(document.html(), to: "\(record.folder)/report.html")
    try Files.write(document.markdown(), to: "\(record.folder)/report.md")
    try Files.write(
      analysis(overlap).serialized(indent: 1) + "\n",
      to: "\(record.folder)/\(RunAnalysis.fileName)")
  }

  private func document(_ overlap: Overlap) throws -> ReportDocument {
    var document = ReportDocument(
      title: record.name, subtitle: "Conversions compared at equal training")
    var results: [ReportDocument.Block] = []
    if !tables.groups.isEmpty {
      results += [
        .chart(speedChart), .chart(bytesChart), .chart(granularityChart),
      ]
    }
    results.append(.table(tables.results))
    document.add("Results", results)
    if !tables.granularities.isEmpty {
      document.add("Per granularity", tables.granularities.map { .table($0) })
    }
    if let best {
      let name = "cells/\(best.name)"
      let blocks = try RunCharts.routing(ofFolder: "\(record.folder)/\(name)")
      if !blocks.isEmpty { document.add("Experts of \(best.name)", blocks) }
    }
    let routing = routingTable
    if !routing.rows.isEmpty { document.add("Routing of all cells", [.table(routing)]) }
    if overlap.names.count > 1 {
      document.add(
        "Neurons",
        [
          .prose(
            "How alike the divisions are: 1 for the same groups of neurons, 0 for no more in common than chance gives."
          ),
          .chart(
            HeatMap(
              title: "Overlap of divisions (adjusted Rand index)", rowLabel: "", columnLabel: "",
              rows: overlap.names.indices.map { "\($0 + 1)" },
              columns: overlap.names.indices.map { "\($0 + 1)" }, values: overlap.values)),
          .facts(overlap.names.enumerated().map { ("\($0 + 1)", $1) }),
        ])
    }
    if let left = tables.withoutResult { document.add("Cells without a result", [.table(left)]) }
    document.add(
      "Provenance",
      [
        .facts([
          ("herd", ToolkitVersion.current), ("Compiler", ToolkitVersion.compiler),
          ("Device", record.device.deviceWords),
        ]), .code(record.settings.serialized(indent: 2)),
      ])
    return document
  }

  // MARK: - Charts

  /// Points of groups, coloured by what they have in common, with the dense model.
  private func series(_ key: String, scale: Double = 1) -> [ScatterChart.Series] {
    var order: [String] = []
    var points: [String: [ScatterChart.Point]] = [:]
    for group in tables.groups {
      guard let x = group.mean(key), let y = group.mean("loss") else { continue }
      if points[group.series] == nil { order.append(group.series) }
      points[group.series, default: []].append(
        ScatterChart.Point(group.label, x: x * scale, y: y, spread: group.spread("loss")))
    }
    var series = order.map { ScatterChart.Series($0, points[$0] ?? []) }
    if let x = record.dense[key]?.double, let y = record.dense["loss"]?.double {
      series.append(ScatterChart.Series("dense", [ScatterChart.Point("", x: x * scale, y: y)]))
    }
    return series
  }

  private var speedChart: ScatterChart {
    ScatterChart(
      title: "Loss against speed of decoding", xLabel: "tokens per second, one text",
      yLabel: "loss after training, nats", series: series("decode_tokens_per_second"),
      baselines: baselines, front: .moreIsBetter)
  }

  private var bytesChart: ScatterChart {
    ScatterChart(
      title: "Loss against weights read per token", xLabel: "megabytes per token",
      yLabel: "loss after training, nats", series: series("bytes_per_token", scale: 1e-6),
      baselines: baselines, front: .lessIsBetter)
  }

  /// Loss over the number of units an MLP is cut into, before and after training.
  private var granularityChart: ScatterChart {
    var order: [String] = []
    var points: [String: [ScatterChart.Point]] = [:]
    for group in tables.groups where !group.isPruned {
      guard let row = group.rows.first, row.text("strategy") != "none" else { continue }
      let units = (row.json["experts"]?.int ?? 0) + (row.json["shared"]?.int ?? 0)
      for (key, words) in [("training_free_loss", "before"), ("loss", "after")] {
        guard let y = group.mean(key) else { continue }
        let name = "\(group.series), \(words)"
        if points[name] == nil { order.append(name) }
        points[name, default: []].append(
          ScatterChart.Point("", x: Double(units), y: y, spread: group.spread(key)))
      }
    }
    return ScatterChart(
      title: "Loss over granularity", xLabel: "units an MLP is cut into, routed and shared",
      yLabel: "loss, nats",
      series: order.map { name in
        ScatterChart.Series(
          name, (points[name] ?? []).sorted { $0.x < $1.x }, isJoined: true)
      }, baselines: baselines, spacing: .powersOfTwo)
  }

  /// The lines that every conversion has to be measured by.
  private var baselines: [(name: String, y: Double)] {
    var lines: [(name: String, y: Double)] = []
    if let dense = record.dense["loss"]?.double { lines.append(("dense", dense)) }
    for group in tables.groups where group.isPruned {
      guard let loss = group.mean("loss") else { continue }
      let losses = group.rows.first?.text("losses") ?? ""
      lines.append(("static pruning" + (losses.isEmpty ? "" : ", \(losses)"), loss))
    }
    return lines
  }

  // MARK: - Routing and neurons

  /// The finished mixture with the lowest loss.
  private var best: SweepRow? {
    record.rows.filter { $0.isFinished && !$0.isPruned && $0.number("loss") != nil }
      .min { ($0.number("loss") ?? .infinity) < ($1.number("loss") ?? .infinity) }
  }

  private static let routingFigures = [
    ("expert_usage/normalized_entropy_mean", "load entropy"),
    ("expert_usage/normalized_entropy_min", "smallest"),
    ("expert_usage/max_share_max", "largest share"),
    ("expert_usage/active_fraction_mean", "experts in use"),
    ("router/normalized_entropy_mean", "router entropy"),
    ("domain_divergence_mean", "domain divergence"),
  ]

  private var routingTable: ReportTable {
    var table = ReportTable(
      caption: "Means over layers and domains; entropies are over that of an even spread",
      header: ["cell"] + Self.routingFigures.map(\.1))
    for row in record.rows where row.json["expert_usage/normalized_entropy_mean"] != nil {
      table.add(
        [row.name]
          + Self.routingFigures.map { key, _ in
            row.number(key).map { Decimals.fixed($0, places: 3) } ?? ""
          })
    }
    return table
  }

  /// How alike the divisions of the sweep's conversions are.
  private struct Overlap {
    var names: [String] = []
    var values: [[Double]] = []
  }

  private var overlap: Overlap {
    var divisions: [(name: String, groups: [[Int]])] = []
    var folders: Set<String> = []
    for row in record.rows where row.isFinished && folders.insert(row.text("conversion")).inserted {
      guard
        let groups = NeuronOverlap.groups(
          ofFolder: "\(record.folder)/\(row.text("conversion"))")
      else { continue }
      divisions.append((row.name, groups))
    }
    return Overlap(
      names: divisions.map(\.name),
      values: divisions.map { first in
        divisions.map { NeuronOverlap.similarity(first.groups, $0.groups) }
      })
  }

  private func analysis(_ overlap: Overlap) -> JSON {
    var cells = JSONObject()
    for row in record.rows {
      var figures = JSONObject()
      for (key, value) in row.json where key.contains("/") || key.hasPrefix("domain_divergence") {
        figures[key] = value
      }
      if !figures.isEmpty { cells[row.name] = .object(figures) }
    }
    return [
      "format_version": 1, "cells": .object(cells),
      "neuron_overlap": [
        "index": "adjusted Rand index, mean over layers",
        "names": .array(overlap.names.map { JSON($0) }),
        "values": .array(
          overlap.values.map { row in
            .array(row.map { JSON(($0 * 1e5).rounded() / 1e5) })
          }),
      ],
    ]
  }
}
