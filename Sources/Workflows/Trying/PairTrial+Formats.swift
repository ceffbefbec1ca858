import ExpertConstruction
import Formats

extension PairTrial {
  /// The model as a folder of a format.
  func folder(_ format: OutputFormat) throws -> Made {
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
  func file(_ format: String) throws -> Made {
    let path = "\(scratch)/model.\(format)"
    return try first(of: OutputFormat.ofSoftmax) { source in
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
}
