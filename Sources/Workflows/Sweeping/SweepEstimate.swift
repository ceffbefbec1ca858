import Formats
import Numerics
import Reports

/// What a sweep will do and roughly cost, from headers alone: `herd sweep --dry-run`.
public struct SweepEstimate: Sendable {
  /// One line per cell.
  public let lines: [String]
  /// Tokens trained on in all cells that are left.
  public let tokens: Int
  /// Peak memory in bytes.
  public let memory: Int
  /// Wall time of the training that is left in seconds, from the speed of a matrix product now.
  public let seconds: Double
  private let cells: JSON

  /// Estimates without writing or reading weights.
  public init(_ pipeline: Pipeline, output: String? = nil, device: Device = .cpu()) throws {
    let sweep = Sweep(pipeline, output: output, device: device)
    let cells = try sweep.cells()
    let rate = try RunEstimate.measuredRate(on: device)
    var (lines, rows): ([String], [JSON]) = ([], [])
    var (tokens, memory, seconds) = (0, 0, 0.0)
    for cell in cells.cells {
      let estimate = try RunEstimate(
        cell.pipeline, output: sweep.output, device: device, rate: rate)
      let isDone = SweepRow.steps(of: "\(sweep.output)/cells/\(cell.name)")["report"] != nil
      lines.append(
        "\(cell.name): "
          + (isDone
            ? "finished"
            : "\(estimate.tokens) tokens, \(estimate.memory >> 20) MiB, about \(Durations.text(estimate.seconds))")
      )
      rows.append([
        "name": JSON(cell.name), "finished": JSON(isDone), "tokens": JSON(estimate.tokens),
        "memory_bytes": JSON(estimate.memory), "seconds": JSON(estimate.seconds),
      ])
      guard !isDone else { continue }
      tokens += estimate.tokens
      memory = max(memory, estimate.memory)
      seconds += estimate.seconds
    }
    for refused in cells.refused {
      lines.append("\(refused.name): refused: \(refused.reason)")
      rows.append(["name": JSON(refused.name), "refused": JSON(refused.reason)])
    }
    self.lines = lines
    self.tokens = tokens
    self.memory = memory
    self.seconds = seconds
    self.cells = .array(rows)
  }

  /// The estimate for people.
  public var text: String {
    let cost =
      "left: \(tokens) tokens, up to \(memory >> 20) MiB, about \(Durations.text(seconds)) of training, besides conversions and evaluations"
    return (lines + [cost]).joined(separator: "\n")
  }

  /// The estimate for machines.
  public var json: JSON {
    [
      "cells": cells, "tokens": JSON(tokens), "memory_bytes": JSON(memory),
      "seconds": JSON(seconds),
    ]
  }
}
