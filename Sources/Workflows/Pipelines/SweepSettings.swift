import Formats

/// The `sweep` section of a pipeline: which conversions and trainings are compared.
public struct SweepSettings: Sendable, Equatable {
  /// Losses that every cell is trained with, in turn.
  public struct LossesVariant: Sendable, Equatable {
    /// Names the variant in folders and tables.
    public var name: String
    /// The keys of `losses` that differ from the stages' own.
    public var values: JSONObject
  }

  /// The share `(k + S) / (E + S)` of each MLP that all cells must keep active; `nil` leaves it free.
  public var activeShare: Double?
  /// Keys of `convert` with the values they take: the cells are all combinations.
  public var grid: JSONObject?
  /// More such combinations.
  public var cells: [JSONObject]
  /// Variants of the losses; empty for the stages' own.
  public var losses: [LossesVariant]
  /// Seeds; empty for the pipeline's own.
  public var seeds: [UInt64]

  init(_ section: ConfigurationFile) throws {
    try section.refuseUnknownKeys(known: ["active_share", "grid", "cells", "losses", "seeds"])
    activeShare = try section.optionalDouble("active_share")
    grid = try section.optionalSection("grid")?.object
    cells = section.contains("cells") ? try section.sections("cells").map(\.object) : []
    losses = []
    for variant in section.contains("losses") ? try section.sections("losses") : [] {
      let name = try variant.string("name")
      guard Pipeline.isFolderName(name), !losses.contains(where: { $0.name == name }) else {
        throw ConfigurationError(
          path: variant.path, key: "name",
          expected: "a name of its own of letters, digits, - and _",
          found: name)
      }
      var values = variant.object
      values["name"] = nil
      losses.append(LossesVariant(name: name, values: values))
    }
    seeds = try section.integers("seeds", default: []).map { seed in
      guard let seed = UInt64(exactly: seed) else {
        throw ConfigurationError(
          path: section.path, key: "seeds", expected: "integers of at least 0", found: "\(seed)")
      }
      return seed
    }
    if let activeShare, !(activeShare > 0 && activeShare <= 1) {
      throw ConfigurationError(
        path: section.path, key: "active_share", expected: "above 0, at most 1",
        found: "\(activeShare)")
    }
    guard grid != nil || !cells.isEmpty else {
      throw ConfigurationError(
        path: section.path, key: "grid", expected: "keys of convert with lists of values",
        found: "nothing")
    }
    for entry in [grid].compactMap({ $0 }) + cells {
      for key in ["data", "format"] where entry.contains(key) {
        throw ConfigurationError(
          path: section.path, key: key, expected: "in \"convert\", the same for all cells",
          found: "it in a cell")
      }
    }
  }
}
