import ExpertConstruction
import Formats

extension PairTrial {
  /// The pair's settings: those that herd's own format can hold first, so that a refusal tells of the
  /// format where the strategy allows.
  func candidates(movesAttention: Bool) throws -> [ConvertSettings] {
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
  func make(_ convert: ConvertSettings) throws -> Made {
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
}
