import Formats
import Numerics

/// The GPU part of ``SystemReport``.
public struct GPUReport: Sendable {
  private let survey = GPUSurvey()

  init() {}

  private var parts: [(name: String, part: GPUSurvey.Part)] {
    [("gpu", survey.gpu), ("compiler", survey.compiler), ("products", survey.products)]
  }

  /// A line per part: what there is, or what is missing and how to get it.
  public var lines: [(name: String, text: String)] {
    // Without a driver the other parts do not matter.
    let shown = survey.hasDriver ? parts : Array(parts.prefix(1))
    return shown.map { name, part in
      switch part {
      case .success(let text): (name, text)
      case .failure(let error): (name, "not usable: \(error)")
      }
    }
  }

  /// The report for machines.
  public var json: JSON {
    var object: JSONObject = ["usable": JSON(survey.obstacle == nil)]
    for (name, part) in parts {
      switch part {
      case .success(let text): object[name] = JSON(text)
      case .failure(let error): object["\(name)_missing"] = JSON(error.description)
      }
    }
    return .object(object)
  }
}
