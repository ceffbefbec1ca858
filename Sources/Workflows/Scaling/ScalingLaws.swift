import Formats

/// The finished cells of an architecture and the laws fitted to them.
struct ScalingLaws {
  let architecture: ScalingArchitecture
  /// The finished cells.
  let rows: [ScalingRow]
  let points: [ScalingPoint]
  let fit: ScalingFit

  init(_ architecture: ScalingArchitecture, _ rows: [ScalingRow], seed: UInt64) {
    self.architecture = architecture
    self.rows = rows
    points = rows.compactMap(\.point)
    fit = ScalingFit(points, seed: seed)
  }

  /// The optimum, where there is one.
  var optimum: ScalingFit.Optimum? { try? fit.optimum.get() }
  /// L(C), where there is one.
  var loss: ScalingFit.Law? { try? fit.loss.get() }

  /// Why a law has no numbers, and what is doubtful of one that has, in words.
  var remarks: [String] {
    var words: [String] = []
    if case .failure(let refusal) = fit.loss { words.append("no L(C): \(refusal)") }
    if case .failure(let refusal) = fit.optimum { words.append("no N_opt and D_opt: \(refusal)") }
    if let floor = optimum?.surface.floor, let least = points.map(\.loss).min(),
      floor < 1e-3 * least
    {
      words.append(
        "E ran to 0: the cells are too alike to tell a floor of the loss from slow falls")
    }
    return words
  }

  var json: JSON {
    let published = architecture.published
    var object: JSONObject = [
      "formula": JSON(architecture.formula), "cells": JSON(points.count),
      "frontier": .array(fit.frontier.map { JSON(rows[$0].name) }),
    ]
    object["loss"] = Self.json(fit.loss, published.loss)
    object["parameters"] = Self.json(fit.optimum.map(\.parameters), published.parameters)
    object["tokens"] = Self.json(fit.optimum.map(\.tokens), published.tokens)
    if let optimum {
      let surface = optimum.surface
      object["surface"] = [
        "floor": JSON(surface.floor), "log_a": JSON(surface.logA), "log_b": JSON(surface.logB),
        "alpha": JSON(surface.alpha), "beta": JSON(surface.beta),
        "relative_rms_error": JSON(surface.residual),
        "cost_coefficient": JSON(optimum.cost.coefficient),
        "cost_exponent": JSON(optimum.cost.exponent), "cost_error": JSON(optimum.costError),
      ]
    }
    return .object(object)
  }

  private static func json(_ law: Result<ScalingFit.Law, FitRefusal>, _ published: PowerLaw) -> JSON
  {
    var object = JSONObject()
    switch law {
    case .success(let law):
      for (key, estimate) in [("coefficient", law.coefficient), ("exponent", law.exponent)] {
        object[key] = JSON(estimate.value)
        object["\(key)_p10"] = estimate.interval.map { JSON($0.lowerBound) } ?? .null
        object["\(key)_p90"] = estimate.interval.map { JSON($0.upperBound) } ?? .null
      }
    case .failure(let refusal): object["reason"] = JSON("\(refusal)")
    }
    object["published"] = [
      "coefficient": JSON(published.coefficient), "exponent": JSON(published.exponent),
    ]
    return .object(object)
  }
}
