import Formats
import Reports

/// What a ladder has found so far: `scaling.json` of its folder.
struct ScalingRecord: GridRecord {
  let folder: String
  /// The ladder's name.
  let name: String
  /// The settings as written.
  let settings: JSON
  /// The device of the last call, as run folders record it.
  let device: JSON
  /// The training text, once it has been read.
  var measured: ScalingText?
  var jobs: Int
  var failures: [String: String] = [:]
  /// The laws of every architecture, in the order of the cells; empty before ``conclude()``.
  private(set) var laws: [ScalingLaws] = []
  private let source: Source

  /// Where rows come from: run folders while a ladder runs, the record afterwards.
  private enum Source {
    case cells([ScalingCell])
    case rows([ScalingRow])
  }

  static let fileName = "scaling.json"

  /// The record of a ladder that runs; of the text it knows what an earlier call has found.
  init(_ pipeline: Pipeline, _ cells: [ScalingCell], folder: String, device: JSON) {
    self.folder = folder
    name = pipeline.name
    settings = pipeline.json
    self.device = device
    source = .cells(cells)
    let earlier = try? ConfigurationFile(contentsOf: "\(folder)/\(Self.fileName)")
    jobs = Self.jobs(in: earlier?["jobs"])
    measured = earlier?["text"].flatMap { $0.isNull ? nil : ScalingText(json: $0) }
  }

  /// Reads the record of a ladder's folder.
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
    measured = try file.optionalSection("text").map { ScalingText(json: .object($0.object)) }
    source = .rows(try file.sections("cells").map { ScalingRow(json: $0.object) })
  }

  var rows: [ScalingRow] {
    switch source {
    case .rows(let rows): rows
    case .cells(let cells):
      cells.map { ScalingRow($0, folder: folder, failure: failures[$0.name]) }
    }
  }

  mutating func conclude() {
    let rows = rows
    var order: [ScalingArchitecture] = []
    for row in rows {
      if let architecture = row.architecture, !order.contains(architecture) {
        order.append(architecture)
      }
    }
    laws = order.map { architecture in
      ScalingLaws(
        architecture, rows.filter { $0.architecture == architecture && $0.point != nil },
        seed: UInt64(clamping: settings["seed"]?.int ?? 1))
    }
  }

  var json: JSON {
    let rows = rows
    var fits = JSONObject()
    for law in laws { fits[law.architecture.rawValue] = law.json }
    return [
      "format_version": 1, "herd_version": JSON(ToolkitVersion.current), "name": JSON(name),
      "finished": JSON(rows.allSatisfy(\.isFinished)), "device": device,
      "jobs": JSON(jobs),
      "text": measured?.json ?? .null,
      "cells": .array(rows.map { .object($0.json) }), "fits": .object(fits),
      "not_comparable": .array(ScalingComparison(self, rows).statements.map { JSON($0) }),
      "pipeline": settings,
    ]
  }

  func write() throws {
    try Files.write(json.serialized(indent: 1) + "\n", to: "\(folder)/\(Self.fileName)")
  }

  var results: String {
    let tables = ScalingTables(self)
    let surfaces = tables.surfaces.rows.isEmpty ? [] : [tables.surfaces]
    return
      (([tables.losses, tables.laws] + surfaces).map { "\($0.caption)\n\($0.text.text())" }
      + [tables.remarks.map { "\($0)\n" }.joined()]).joined(separator: "\n") + "\n"
  }

  func writeReport() throws { try ScalingReport(self).write() }
}
