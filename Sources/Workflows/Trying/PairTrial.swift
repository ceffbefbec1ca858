import ExpertConstruction
import Formats
import Numerics

/// One strategy with one router, through conversion, losses and exports.
final class PairTrial {
  private let pair: MethodPair
  private let settings: TrialSettings
  /// Where its folders go.
  private let scratch: String
  private let context: Context
  /// Calibration text and gradients, kept for the pairs of one strategy.
  private let work: SharedWork
  /// Held-out text, kept for all.
  private let text: SharedWork
  /// Conversions by their plans.
  private var made: [String: Made] = [:]
  private var exported: [OutputFormat: Made] = [:]

  /// A model that was written.
  private struct Made {
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

  /// The model as a folder of a format.
  private func folder(_ format: OutputFormat) throws -> Made {
    if let found = exported[format] { return found }
    let candidates = try candidates(movesAttention: format.make().movesAttention)
    guard format != .herd else { return try first(of: candidates, make) }
    let result = try first(of: candidates) { candidate in
      var candidate = candidate
      (candidate.exports, candidate.trainsBeforeExport) = ([format.rawValue], false)
      return try export(make(candidate), to: format)
    }
    exported[format] = result
    return result
  }

  /// Writes a stock folder, which must predict what its source does.
  private func export(_ source: Made, to format: OutputFormat) throws -> Made {
    let path = "\(scratch)/\(format.rawValue)"
    let written = try ModelExport(
      source: source.path, output: path, format: format.rawValue
    ).execute()
    let (found, expected) = (try loss(of: path), source.measurement.loss ?? .nan)
    var result = source.measurement
    (result.seconds, result.source) = (nil, OutputFormat.herd.rawValue)
    result.isRounded = written["rounding"]?.string != nil
    result.bytes = try ModelFolder(path, access: .pread).checkpoint.totalBytes
    (result.loss, result.difference) = (found, abs(found - expected))
    let relative = result.isRounded ? Self.tolerance.rounded : Self.tolerance.exact
    guard abs(found - expected) <= relative * max(1, expected) else {
      throw WorkflowError("its loss is \(found), that of the herd folder \(expected)")
    }
    return Made(path: path, measurement: result)
  }

  /// The model as the one file that some format is: from herd's own folder, or else from the first
  /// stock one that allows it.
  private func file(_ format: String) throws -> Made {
    let path = "\(scratch)/model.\(format)"
    return try first(of: OutputFormat.allCases) { source in
      let made = try folder(source)
      let written = try ModelExport(
        source: made.path, output: path, format: format, force: true
      ).execute()
      var result = made.measurement
      (result.loss, result.difference, result.seconds) = (nil, nil, nil)
      result.source = source.rawValue
      result.bytes = written["bytes"]?.int ?? 0
      return Made(path: path, measurement: result)
    }
  }

  /// What `work` gives for the first item that is not refused.
  /// - Throws: the refusal of the first item, or any other error at once.
  private func first<Item, Value>(
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

  /// The pair's settings: those that herd's own format can hold first, so that a refusal tells of the
  /// format where the strategy allows.
  private func candidates(movesAttention: Bool) throws -> [ConvertSettings] {
    var attention: AttentionGeometry?
    if movesAttention {
      var alone = ConvertSettings()
      (alone.strategy, alone.attention) = ("none", pair.attentionName)
      attention = try? plan(alone).attention?.geometry
    }
    let all = pair.candidates(settings, movesAttention: movesAttention, attention: attention)
    var (possible, others) = ([ConvertSettings](), [ConvertSettings]())
    for candidate in all {
      do {
        _ = try plan(candidate)
        possible.append(candidate)
      } catch let error as ConstructionError where error.kind == .refused {
        others.append(candidate)
      }
    }
    return possible + others
  }

  private func plan(_ convert: ConvertSettings) throws -> ConversionPlan {
    try conversion(convert, to: scratch).plan()
  }

  private func conversion(_ convert: ConvertSettings, to path: String) -> ModelConversion {
    ModelConversion(source: settings.dense, output: path, settings: convert, seed: settings.seed)
  }

  /// The conversion with these settings, carried out once for all formats it is the same for.
  private func make(_ convert: ConvertSettings) throws -> Made {
    let plan = try plan(convert)
    var description = plan.json.object ?? JSONObject()
    // What was decided without being asked for is all that differs in otherwise equal plans.
    description["notes"] = nil
    let key = JSON.object(description).serialized()
    if let found = made[key] { return found }
    let path = "\(scratch)/herd-\(made.count)"
    let start = ContinuousClock.now
    _ = try conversion(convert, to: path).execute(in: context, shared: work)
    let seconds = (ContinuousClock.now - start).inSeconds
    var measurement = Self.sizes(plan, pair.part)
    measurement.bytes = plan.outputBytes
    measurement.seconds = seconds
    let loss = try loss(of: path)
    guard loss.isFinite else { throw WorkflowError("its loss is \(loss)") }
    measurement.loss = loss
    let result = Made(path: path, measurement: measurement)
    made[key] = result
    return result
  }

  private static func sizes(
    _ plan: ConversionPlan, _ part: MethodPair.Part
  ) -> TrialCell.Measurement {
    switch part {
    case .mlp:
      let geometry = plan.block?.geometry
      let routed = geometry.flatMap { $0.form == .pruned ? nil : $0 }
      return TrialCell.Measurement(
        experts: routed?.experts, topK: routed?.topK, shared: routed?.shared,
        activeShare: geometry?.activeShare ?? 1, bytes: 0)
    case .attention:
      let geometry = plan.attention?.geometry
      return TrialCell.Measurement(
        experts: geometry?.experts, topK: geometry?.topK, shared: geometry?.shared,
        activeShare: geometry?.activeShare ?? 1, bytes: 0)
    }
  }

  private func loss(of folder: String) throws -> Double {
    try settings.loss(of: folder, text: text, in: context)
  }
}

extension TrialSettings {
  /// The mean loss of a model folder on the held-out text.
  func loss(of folder: String, text: SharedWork, in context: Context) throws -> Double {
    let evaluation = CheckpointEvaluation(
      checkpoint: folder, data: evaluation.isEmpty ? data : evaluation,
      settings: .init(
        window: window, windows: windows, separatesDocuments: separatesDocuments))
    return try evaluation.run(in: context, shared: text, progress: { _ in }).scores.mean
  }
}
