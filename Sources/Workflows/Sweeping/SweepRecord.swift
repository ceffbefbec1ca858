import Formats
import Reports

/// What a sweep has found so far: `sweep.json` and `sweep.csv` of its folder.
struct SweepRecord: GridRecord {
  /// The sweep folder.
  let folder: String
  /// The sweep's name.
  let name: String
  /// The settings as written.
  let settings: JSON
  /// The device of the last call, as run folders record it.
  let device: JSON
  var jobs: Int
  /// Why cells failed in this call, by name.
  var failures: [String: String] = [:]
  private let source: Source

  /// Where rows come from: run folders while a sweep runs, the record afterwards.
  private enum Source {
    case cells(SweepCells)
    case rows(dense: JSONObject, [SweepRow])
  }

  static let fileName = "sweep.json"

  init(_ pipeline: Pipeline, _ cells: SweepCells, folder: String, device: JSON) {
    self.folder = folder
    name = pipeline.name
    settings = pipeline.json
    self.device = device
    let earlier = try? ConfigurationFile(contentsOf: "\(folder)/\(Self.fileName)")
    jobs = Self.jobs(in: earlier?["jobs"])
    source = .cells(cells)
  }

  /// Reads the record of a sweep folder.
  init(contentsOf folder: String) throws {
    let file = try ConfigurationFile(contentsOf: "\(folder)/\(Self.fileName)")
    guard try file.integer("format_version") == 1 else {
      throw WorkflowError("\(file.path): unknown format_version; use a newer herd")
    }
    self.folder = folder
    name = try file.string("name")
    settings = file["pipeline"] ?? .null
    device = file["device"] ?? .null
    jobs = Self.jobs(in: file["jobs"])
    source = .rows(
      dense: try file.section("dense").object,
      try file.sections("cells").map { SweepRow(json: $0.object) })
  }

  /// All cells, those that were refused last.
  var rows: [SweepRow] {
    switch source {
    case .rows(_, let rows): rows
    case .cells(let cells):
      cells.cells.map {
        SweepRow(
          $0, folder: folder, owner: cells.owner(of: $0), failure: failures[$0.name])
      } + cells.refused.map { SweepRow($0) }
    }
  }

  /// The dense model's figures under the keys of a cell.
  var dense: JSONObject {
    if case .rows(let dense, _) = source { return dense }
    let steps = RunState.steps(of: "\(folder)/dense")
    var dense = JSONObject()
    dense["loss"] = steps["evaluate:dense"]?["mean"]
    dense["loss_by_domain"] = SweepRow.lossesByDomain(steps["evaluate:dense"])
    for (key, value) in steps["measure:dense"]?.object ?? JSONObject() where key != "seconds" {
      dense[key] = value
    }
    return dense
  }

  /// The record for machines.
  var json: JSON {
    let rows = rows
    let groups = SweepGroup.groups(of: rows)
    return [
      "format_version": 1, "herd_version": JSON(ToolkitVersion.current), "name": JSON(name),
      "finished": JSON(isFinished),
      "device": device, "jobs": JSON(jobs), "dense": .object(dense),
      "groups": .array(groups.map { .object($0.json) }),
      "pareto": [
        "tokens_per_second": SweepGroup.front(
          groups, "decode_tokens_per_second", .moreIsBetter),
        "bytes_per_token": SweepGroup.front(groups, "bytes_per_token", .lessIsBetter),
      ],
      "cells": .array(rows.map { .object($0.json) }), "pipeline": settings,
    ]
  }

  /// Writes `sweep.json` and `sweep.csv`.
  func write() throws {
    try Files.write(json.serialized(indent: 1) + "\n", to: "\(folder)/\(Self.fileName)")
    try Files.write(csv, to: "\(folder)/sweep.csv")
  }

  private static let columns = [
    "name", "group", "status", "strategy", "router", "experts", "top_k", "mean_top_k", "shared",
    "recovery", "attention", "losses", "seed", "active_share", "active_attention_share",
    "training_free_loss", "loss", "kl_to_dense", "top1_agreement", "decode_tokens_per_second",
    "bytes_per_token", "active_parameters", "parameters", "dead_experts", "min_load_entropy",
    "max_load_share", "reason",
  ]

  /// One line a cell, fields with commas or quotes quoted (RFC 4180); the first line names them.
  private var csv: String {
    var dense = dense
    dense["name"] = "dense"
    dense["group"] = "dense"
    dense["status"] = "finished"
    let lines =
      [Self.columns.joined(separator: ",")]
      + ([dense] + rows.map(\.json)).map { row in
        Self.columns.map { Self.field(row[$0]) }.joined(separator: ",")
      }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func field(_ value: JSON?) -> String {
    guard let value, !value.isNull else { return "" }
    let text = value.string ?? value.serialized()
    guard text.contains(where: { ",\"\n\r".contains($0) }) else { return text }
    return "\"" + text.replacing("\"", with: "\"\"") + "\""
  }

  var results: String { SweepTables(self).results.text.text() }

  func writeReport() throws { try SweepReport(self).write() }
}
