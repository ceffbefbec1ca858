import Data
import Evaluation
import ExpertConstruction
import Formats
import Numerics
import Training

/// A grid of conversions, each trained and measured alike, beside the dense model and the baseline of
/// static pruning; resumable at every point.
///
/// `<output>/dense` is the run that all cells share: generated text and the dense model's scores.
/// Every cell is a run folder under `<output>/cells`. Cells that differ in their losses only share one
/// conversion.
public struct Sweep {
  /// What to do.
  public let pipeline: Pipeline
  /// Where everything goes.
  public let output: String
  private let device: Device
  private let limit: TimeLimit?
  private let events: WorkflowEvents

  /// A sweep of `pipeline` into the folder `output`, `sweeps/<name>` unless given.
  /// - Parameter minutes: Stop cleanly before this time is up; `nil` for no limit.
  public init(
    _ pipeline: Pipeline, output: String? = nil, device: Device = .cpu(),
    minutes: Double? = nil, events: WorkflowEvents = .init()
  ) {
    self.init(
      pipeline, output: output, device: device,
      limit: minutes.map { TimeLimit(seconds: $0 * 60) }, events: events)
  }

  init(
    _ pipeline: Pipeline, output: String?, device: Device, limit: TimeLimit?,
    events: WorkflowEvents
  ) {
    self.pipeline = pipeline
    self.output = output ?? "sweeps/\(pipeline.name)"
    self.device = device
    self.limit = limit
    self.events = events
  }

  /// How a sweep, or a part of it, ended.
  public struct Result: Sendable {
    /// The sweep folder.
    public let folder: String
    /// What `sweep.json` holds.
    public let json: JSON
    /// What to print for people.
    public let text: String
  }

  /// The run that all cells share.
  private var home: String { "\(output)/dense" }

  /// The cells, with those refused that the dense model's geometry rules out.
  func cells() throws -> SweepCells {
    guard pipeline.sweep != nil, let model = pipeline.model else {
      throw WorkflowError(
        "\(pipeline.path): there is no \"sweep\" section; use herd run, or add one")
    }
    let dense = try pipeline.resolve(model, run: home)
    _ = try ModelFolder(dense)
    let files =
      (pipeline.convert?.data ?? []) + (pipeline.evaluate?.data ?? [])
      + pipeline.stages.flatMap { $0.data.map(\.file) }
    for file in files where !file.hasPrefix("{run}") {
      _ = try RecordReader(path: pipeline.resolve(file, run: home))
    }
    for stage in pipeline.stages { try pipeline.checkWeights(of: stage, on: device) }
    let cells = try SweepCells(pipeline, home: home) { settings in
      var settings = settings
      // The files were looked at above, and those of the run are yet to be made.
      let hasData = !settings.data.isEmpty
      settings.data = []
      do {
        _ = try ModelConversion(
          source: dense, output: "\(output)/cells", settings: settings, seed: pipeline.seed
        ).plan(hasData: hasData)
        return nil
      } catch {
        return "\(error)"
      }
    }
    guard !cells.cells.isEmpty else {
      throw WorkflowError(
        "\(pipeline.path): no cell of the sweep can be made; the first is refused because "
          + (cells.refused.first?.reason ?? "there is none"))
    }
    return cells
  }

  /// Does whatever is not done yet, as far as the time limit allows.
  public func execute() throws -> Result {
    let cells = try cells()
    try begin()
    let lock = try FolderLock(output)
    defer { withExtendedLifetime(lock) {} }
    let context = try Context(device: device)
    var record = SweepRecord(
      pipeline, cells, folder: output, device: context.deviceDescription.json)
    try record.write()
    for (kind, seconds) in record.longestSteps { limit?.learn(kind, seconds: seconds) }
    let shared = SharedWork(isKept: true)
    do {
      try Run(
        densePipeline(), output: home, device: device, context: context, shared: shared,
        limit: limit, events: events
      ).execute()
      for (index, cell) in cells.cells.enumerated() {
        events.note("cell \(index + 1) of \(cells.cells.count): \(cell.name)")
        if let failure = try run(cell, cells, context, shared) {
          record.failures[cell.name] = failure
          events.note("\(cell.name) failed: \(failure)")
        }
        try record.write()
      }
    } catch is TimeIsUp {
      events.note("the time limit was reached")
    }
    try record.write()
    try SweepReport(record).write()
    return Result(folder: output, json: record.json, text: record.text)
  }

  /// Makes the folder, or makes sure that it is a sweep's.
  private func begin() throws {
    // A kill while the first record was written leaves only its hidden beginnings.
    let leftover = ".\(SweepRecord.fileName).partial-"
    if Files.exists(output), !Files.exists("\(output)/\(SweepRecord.fileName)"),
      try Files.names(inFolder: output).contains(where: { !$0.hasPrefix(leftover) })
    {
      throw WorkflowError(
        "\(output): not empty and not a sweep folder; give another --output or empty it")
    }
    try Files.createFolder(output)
  }

  /// The dense model alone: text, scores, speed.
  private func densePipeline() throws -> Pipeline {
    var object = pipeline.json.object ?? JSONObject()
    for key in ["sweep", "convert", "stages"] { object[key] = nil }
    var evaluate = object["evaluate"]?.object ?? JSONObject()
    if evaluate["decode_tokens"] == nil {
      evaluate["decode_tokens"] = JSON(SweepSettings.decodeTokens)
    }
    object["evaluate"] = .object(evaluate)
    return try Pipeline(path: pipeline.path, object: object)
  }

  /// Runs a cell to its end.
  /// - Returns: Why it failed for reasons of its own; `nil` when it is finished.
  private func run(
    _ cell: SweepCell, _ cells: SweepCells, _ context: Context, _ shared: SharedWork
  ) throws -> String? {
    let folder = "\(output)/cells/\(cell.name)"
    let owner = cells.owner(of: cell)
    let conversion = owner == cell.name ? nil : "\(output)/cells/\(owner)"
    if let conversion, !Files.exists("\(conversion)/converted/config.json") {
      return "its conversion, made by \(owner), is not there"
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
    // Resume states are many times as large as the model, and nothing needs them any more.
    for stage in cell.pipeline.stages where Files.exists("\(folder)/\(stage.name)/checkpoint") {
      try Files.remove("\(folder)/\(stage.name)/checkpoint")
    }
    return nil
  }
}
