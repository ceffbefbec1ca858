import ExpertConstruction
import Numerics

/// One strategy with one router, through conversion, losses and exports.
final class PairTrial {
  let pair: MethodPair
  let settings: TrialSettings
  /// Where its folders go.
  let scratch: String
  let context: Context
  /// Calibration text and gradients, kept for the pairs of one strategy.
  let work: SharedWork
  /// Held-out text, kept for all.
  let text: SharedWork
  /// Conversions by their plans.
  var made: [String: Made] = [:]
  var exported: [OutputFormat: Made] = [:]

  /// A model that was written.
  struct Made {
    let path: String
    let measurement: TrialCell.Measurement
  }

  /// How far a loss may be from that of the model it was exported from, relative to it: with every
  /// weight kept, and with weights rounded by a folded scale.
  static let tolerance = (exact: 1e-4, rounded: 2e-2)

  init(
    _ pair: MethodPair, _ settings: TrialSettings, scratch: String, work: SharedWork,
    text: SharedWork, in context: Context
  ) {
    self.pair = pair
    self.settings = settings
    self.scratch = scratch
    self.work = work
    self.text = text
    self.context = context
  }

  /// Tries the formats in this order.
  func run(_ formats: [String]) -> [TrialCell] {
    formats.map { format in
      TrialCell(
        part: pair.part.rawValue, strategy: pair.strategy, router: pair.router, format: format,
        outcome: outcome(of: format))
    }
  }

  private func outcome(of format: String) -> TrialCell.Outcome {
    do {
      return .works(try measure(format))
    } catch let error as ConstructionError where error.kind == .refused {
      return .refused(plain("\(error)", format))
    } catch {
      return .failed(plain("\(error)", format))
    }
  }

  /// A message in one line, without the names of folders that are gone and without what the format's
  /// column says.
  private func plain(_ message: String, _ format: String) -> String {
    let line = message.split(whereSeparator: \.isNewline).joined(separator: " ")
    let reason = line.firstRange(of: " \(format): ").map { String(line[$0.upperBound...]) } ?? line
    var words = reason.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    for index in words.indices where words[index].hasPrefix(scratch) {
      words[index] = "the model" + (words[index].hasSuffix(":") ? ":" : "")
    }
    return words.joined(separator: " ")
  }

  private func measure(_ format: String) throws -> TrialCell.Measurement {
    guard let folderFormat = OutputFormat(rawValue: format) else {
      return try file(format).measurement
    }
    return try folder(folderFormat).measurement
  }

  /// What `work` gives for the first item that is not refused.
  /// - Throws: the refusal of the first item, or any other error at once.
  func first<Item, Value>(
    of items: [Item], _ work: (Item) throws -> Value
  ) throws -> Value {
    var refusal: ConstructionError?
    for item in items {
      do {
        return try work(item)
      } catch let error as ConstructionError where error.kind == .refused {
        refusal = refusal ?? error
      }
    }
    throw refusal ?? WorkflowError("\(pair.strategy) gives no settings to try")
  }

  func loss(of folder: String) throws -> Double {
    try settings.loss(of: folder, text: text, in: context)
  }
}
