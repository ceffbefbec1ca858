import Evaluation
import ExpertConstruction
import Formats
import Numerics
import Training

/// How a grid of runs, or a part of it, ended.
public struct GridResult: Sendable {
  /// The folder of the grid.
  public let folder: String
  /// What the grid's record holds.
  public let json: JSON
  /// What to print for people.
  public let text: String
}

/// Many runs in one folder: first one whose data all share, then a run folder per cell under `cells/`;
/// resumable at every point.
struct RunGrid {
  /// One of the runs.
  struct Cell {
    /// Its name and that of its folder.
    let name: String
    /// Everything a run needs to know.
    let pipeline: Pipeline
    /// The cell whose conversion it starts from; `nil` to make its own.
    var conversion: String?
    /// What of its folder nobody needs once it is finished.
    var leftovers: [String] = []
  }

  /// Where everything goes.
  let output: String
  /// What the folder is, such as `sweep`, in messages.
  let kind: String
  /// The run that is made first, and its folder.
  let home: (folder: String, pipeline: Pipeline)?
  /// The runs, in order.
  let cells: [Cell]
  /// How many of them are done at a time, each on ``device``.
  let jobs: Int
  let device: Device
  let limit: TimeLimit?
  /// What the runs have in common.
  let shared = SharedWork(isKept: true)
  let events: WorkflowEvents

  /// The folder of the cells' folders.
  static let cells = "cells"

  /// - Parameters:
  ///   - jobs: How many cells are done at a time, where there are as many.
  ///   - device: What the jobs share.
  init(
    output: String, kind: String, home: (folder: String, pipeline: Pipeline)?, cells: [Cell],
    jobs: Int, device: Device, limit: TimeLimit?, events: WorkflowEvents
  ) {
    self.output = output
    self.kind = kind
    self.home = home
    self.cells = cells
    self.jobs = max(1, min(jobs, cells.count))
    self.device = device.part(of: self.jobs)
    self.limit = limit
    self.events = events
  }

  /// Does whatever is not done yet, as far as the time limit allows.
  /// - Parameters:
  ///   - makeRecord: The record, given the device's description.
  ///   - prepare: What comes between the first run and the cells.
  func execute<Record: GridRecord>(
    _ makeRecord: (JSON) throws -> Record, prepare: (inout Record) throws -> Void = { _ in }
  ) throws -> GridResult {
    try begin(Record.fileName)
    let lock = try FolderLock(output)
    defer { withExtendedLifetime(lock) {} }
    let context = try Context(device: device)
    var record = try makeRecord(context.deviceDescription.json)
    if let limit { record.teach(limit, jobs: jobs) }
    record.jobs = jobs
    try record.write()
    do {
      if let home {
        try Run(
          home.pipeline, output: home.folder, device: device, context: context, shared: shared,
          limit: limit, events: events
        ).execute()
      }
      try prepare(&record)
      try CellJobs.run(self, context, into: &record)
    } catch is TimeIsUp {
      events.note("the time limit was reached")
    }
    record.conclude()
    try record.write()
    try record.writeReport()
    return GridResult(folder: output, json: record.json, text: record.text)
  }

  /// Makes the folder, or makes sure that it is one of this kind.
  private func begin(_ fileName: String) throws {
    // A kill while the first record was written leaves only its hidden beginnings.
    let leftover = ".\(fileName).partial-"
    if Files.exists(output), !Files.exists("\(output)/\(fileName)"),
      try Files.names(inFolder: output).contains(where: { !$0.hasPrefix(leftover) })
    {
      throw WorkflowError(
        "\(output): not empty and not a \(kind) folder; give another --output or empty it")
    }
    try Files.createFolder(output)
  }

  /// Runs a cell to its end.
  /// - Returns: Why it failed for reasons of its own; `nil` when it is finished.
  func run(
    _ cell: Cell, _ context: Context, shared: SharedWork, limit: TimeLimit?,
    events: WorkflowEvents
  ) throws -> String? {
    let folder = "\(output)/\(Self.cells)/\(cell.name)"
    let conversion = cell.conversion.map { "\(output)/\(Self.cells)/\($0)" }
    if let conversion, !Files.exists("\(conversion)/converted/config.json") {
      return "its conversion, made by \(cell.conversion ?? ""), is not there"
    }
    do {
      try Run(
        cell.pipeline, output: folder, device: device, context: context, shared: shared,
        limit: limit, conversion: conversion, events: events
      ).execute()
    } catch let error as TrainingError {
      return "\(error)"
    } catch let error as SettingsError {
      // Patterns that fit another cell's parameters.
      return "\(error)"
    } catch let error as ConstructionError {
      return "\(error)"
    } catch let error as EvaluationError {
      return "\(error)"
    }
    for name in cell.leftovers where Files.exists("\(folder)/\(name)") {
      try Files.remove("\(folder)/\(name)")
    }
    return nil
  }
}
