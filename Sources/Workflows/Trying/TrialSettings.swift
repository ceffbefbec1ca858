import ExpertConstruction
import Formats

/// What is tried, on which checkpoint, and on which text its losses are taken.
public struct TrialSettings: Sendable, Equatable {
  /// The dense checkpoint folder.
  public var dense: String
  /// Calibration text.
  public var data: [String]
  /// Text to take losses on; empty takes the calibration text.
  public var evaluation: [String] = []
  /// Units that each MLP is cut into, shared ones among them.
  public var units = 8
  /// Units that a token uses, shared ones among them.
  public var active = 2
  /// Calibration tokens.
  public var calibrationTokens = ConvertSettings().calibrationTokens
  /// Input tokens per window of the losses.
  public var window = 512
  /// Windows per data file.
  public var windows = 4
  /// Whether each record attends to itself only where losses are taken.
  public var separatesDocuments = false
  /// Strategies of MLPs and attention to try; empty for all, as below.
  public var strategies: [String] = []
  /// Routers to try.
  public var routers: [String] = []
  /// Formats to try besides herd's own.
  public var formats: [String] = []
  /// Whether each strategy, router and format is tried once, in place of all combinations.
  public var once = false
  /// Seed of everything random.
  public var seed: UInt64 = 0

  /// The trial of every combination there is.
  public init(dense: String, data: [String]) {
    self.dense = dense
    self.data = data
  }

  /// The names of all strategies, of MLPs and of attention.
  public static var strategyNames: [String] {
    StrategyName.allCases.map(\.rawValue) + AttentionStrategyName.allCases.map(\.rawValue)
  }

  /// The names of all formats, herd's own first.
  public static var formatNames: [String] {
    OutputFormat.ofSoftmax.map(\.rawValue) + [ModelExport.fileFormat]
  }

  /// Refuses names and sizes that cannot be, without looking at files.
  public func check() throws(WorkflowError) {
    for (what, names, known) in [
      ("strategy", strategies, Self.strategyNames),
      ("router", routers, RouterName.allCases.map(\.rawValue)),
      ("format", formats, Self.formatNames),
    ] {
      for name in names where !known.contains(name) {
        let hint = nearestName(to: name, in: known).map { "; did you mean \"\($0)\"?" } ?? "."
        throw WorkflowError(
          "\(what) \"\(name)\" is not known\(hint) Choose from \(known.joined(separator: ", "))")
      }
    }
    guard active >= 1, active <= units else {
      throw WorkflowError(
        "top-\(active) of \(units) experts; top-k must be between 1 and \(max(1, units))")
    }
    guard (1...CalibrationText.mostTokens).contains(calibrationTokens) else {
      throw WorkflowError(
        "\(calibrationTokens) calibration tokens; give from 1 to \(CalibrationText.mostTokens)")
    }
    guard window > 0, windows > 0 else {
      throw WorkflowError("window and windows must be at least 1")
    }
  }

  /// The `names` that are wanted; all where none is named.
  func chosen(_ names: [String], _ wanted: [String]) -> [String] {
    wanted.isEmpty ? names : names.filter(wanted.contains)
  }

  /// The formats to be tried, herd's own first: everything starts from it.
  var chosenFormats: [String] {
    Self.formatNames.filter {
      $0 == OutputFormat.herd.rawValue || formats.isEmpty || formats.contains($0)
    }
  }
}
