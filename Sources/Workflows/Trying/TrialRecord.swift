import Formats

/// What came of trying methods on one checkpoint.
public struct TrialRecord: Sendable {
  /// How a user asks for it.
  public let command: String
  /// The dense checkpoint's name.
  public let checkpoint: String
  /// What it ran on, in words.
  public let machine: String
  /// The program's version.
  public let version: String
  /// The dense model's loss.
  public let denseLoss: Double
  /// Units of an MLP, and how many of them a token uses.
  public let units: (all: Int, active: Int)
  /// Calibration tokens.
  public let calibrationTokens: Int
  /// How losses were taken.
  public let windows: (count: Int, length: Int, separateDocuments: Bool)
  /// Whether each method was tried once only.
  public let once: Bool
  /// Every cell that was tried, in order.
  public internal(set) var cells: [TrialCell] = []
  /// How long all of it took.
  public internal(set) var seconds = 0.0

  init(
    command: String, checkpoint: String, machine: String, denseLoss: Double,
    settings: TrialSettings
  ) {
    self.command = command
    self.checkpoint = checkpoint
    self.machine = machine
    self.denseLoss = denseLoss
    version = ToolkitVersion.current
    units = (settings.units, settings.active)
    calibrationTokens = settings.calibrationTokens
    windows = (settings.windows, settings.window, settings.separatesDocuments)
    once = settings.once
  }

  /// The cells that neither work nor are refused.
  public var failures: [TrialCell] { cells.filter { $0.failure != nil } }

  /// How many cells came to what, in one line.
  public var summary: String {
    "\(cells.count { $0.measurement != nil }) cells work, \(cells.count { $0.refusal != nil }) are "
      + "refused with a reason, \(failures.count) failed"
  }

  /// The record for machines.
  public var json: JSON {
    [
      "format_version": 1, "command": JSON(command), "checkpoint": JSON(checkpoint),
      "machine": JSON(machine), "version": JSON(version), "dense_loss": JSON(denseLoss),
      "units": JSON(units.all), "active_units": JSON(units.active),
      "calibration_tokens": JSON(calibrationTokens), "windows": JSON(windows.count),
      "window": JSON(windows.length), "separate_documents": JSON(windows.separateDocuments),
      "once": JSON(once), "seconds": JSON(seconds), "failures": JSON(failures.count),
      "cells": .array(cells.map(\.json)),
    ]
  }

  /// Reads what `--json` printed into a file.
  public init(contentsOf path: String) throws {
    let file = try ConfigurationFile(contentsOf: path)
    guard file.contains("cells"), try file.integer("format_version", default: 0) == 1 else {
      throw WorkflowError("\(path): not what herd try --json of this version printed")
    }
    command = try file.string("command")
    checkpoint = try file.string("checkpoint")
    machine = try file.string("machine")
    version = try file.string("version")
    denseLoss = try file.double("dense_loss")
    units = (try file.integer("units"), try file.integer("active_units"))
    calibrationTokens = try file.integer("calibration_tokens")
    windows = (
      try file.integer("windows"), try file.integer("window"),
      try file.bool("separate_documents", default: false)
    )
    once = try file.bool("once", default: false)
    seconds = try file.double("seconds")
    cells = try file.sections("cells").map(TrialCell.init)
  }
}
