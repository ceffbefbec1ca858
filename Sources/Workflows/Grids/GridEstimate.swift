import Formats
import Numerics
import Reports

/// What a grid of runs will do and roughly cost, from headers alone: `--dry-run` of `herd sweep` and
/// `herd scaling`.
public struct GridEstimate: Sendable {
  /// One line per cell.
  public let lines: [String]
  /// Tokens trained on in all cells that are left.
  public let tokens: Int
  /// Peak memory in bytes.
  public let memory: Int
  /// Wall time of the training that is left in seconds, from the speed of a matrix product now: that of
  /// one cell after another.
  public let seconds: Double
  private let cells: JSON

  /// Estimates without writing or reading weights.
  /// - Parameters:
  ///   - cells: The runs, each with words of its own about it.
  ///   - refused: What cannot be made, and why.
  ///   - jobs: How many cells are done at a time.
  ///   - vocabulary: The size of the vocabulary of cells whose tokenizer is yet to be made.
  init(
    _ cells: [(name: String, pipeline: Pipeline, words: String)],
    refused: [(name: String, reason: String)] = [], output: String, jobs: Int,
    vocabulary: Int? = nil, device: Device
  ) throws {
    let rate = try RunEstimate.measuredRate(on: device)
    var (lines, rows): ([String], [JSON]) = ([], [])
    var (tokens, memory, seconds) = (0, [Int](), 0.0)
    for cell in cells {
      let estimate = try RunEstimate(
        cell.pipeline, output: output, vocabulary: vocabulary, device: device, rate: rate)
      let isDone = RunState.steps(of: "\(output)/\(RunGrid.cells)/\(cell.name)")["report"] != nil
      lines.append(
        "\(cell.name): "
          + (isDone
            ? "finished"
            : "\(cell.words)\(estimate.tokens) tokens, \(estimate.memory >> 20) MiB, about \(Durations.text(estimate.seconds))")
      )
      rows.append([
        "name": JSON(cell.name), "finished": JSON(isDone), "tokens": JSON(estimate.tokens),
        "memory_bytes": JSON(estimate.memory), "seconds": JSON(estimate.seconds),
      ])
      guard !isDone else { continue }
      tokens += estimate.tokens
      memory.append(estimate.memory)
      seconds += estimate.seconds
    }
    for cell in refused {
      lines.append("\(cell.name): refused: \(cell.reason)")
      rows.append(["name": JSON(cell.name), "refused": JSON(cell.reason)])
    }
    self.lines = lines
    self.tokens = tokens
    // The largest ones may meet.
    self.memory = memory.sorted(by: >).prefix(jobs).reduce(0, +)
    self.seconds = seconds
    self.cells = .array(rows)
  }

  /// The estimate for people.
  public var text: String {
    let cost =
      "left: \(tokens) tokens, up to \(memory >> 20) MiB, about \(Durations.text(seconds)) of training, besides what is made and evaluated"
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
