import Formats
import Models
import Numerics

/// Which of a model's parameters train, each with its peak learning rate.
public struct ParameterSelection {
  /// A parameter that trains.
  public struct Entry {
    /// The parameter.
    public let parameter: Parameter
    /// Its peak learning rate.
    public let learningRate: Double
    /// Whether weight decay applies: to matrices, not to norms, biases and gains.
    public var isDecayed: Bool { parameter.value.shape.count > 1 }

    /// A parameter and its peak learning rate.
    public init(parameter: Parameter, learningRate: Double) {
      self.parameter = parameter
      self.learningRate = learningRate
    }
  }

  /// The parameters that train, in the model's order.
  public let entries: [Entry]

  /// Matches the stage's patterns against the model.
  ///
  /// Selection biases are never matched: balancing moves them, not gradients.
  /// - Throws: ``SettingsError`` for a pattern that matches nothing.
  public init(_ settings: StageSettings, model: LanguageModel) throws(SettingsError) {
    try self.init(settings, model: model, adapters: [], frozen: [])
  }

  /// - Parameters:
  ///   - adapters: Parameters that train besides those of the model.
  ///   - frozen: Names of those of the model that do not, whatever the patterns say.
  init(
    _ settings: StageSettings, model: LanguageModel, adapters: [Parameter], frozen: Set<String>
  ) throws(SettingsError) {
    let biases = Set(model.routers.compactMap { $0.router.selectionBias?.name })
    let candidates = model.parameters.filter { !biases.contains($0.name) }
    let train = settings.train.map(NamePattern.init)
    let chosen =
      candidates.filter { candidate in
        !frozen.contains(candidate.name) && train.contains { $0.matches(candidate.name) }
      } + adapters
    for pattern in settings.train {
      try Self.check(pattern, key: "train", candidates.map(\.name), settings)
      let matcher = NamePattern(pattern)
      let matches = candidates.map(\.name).filter(matcher.matches)
      guard !matches.allSatisfy(frozen.contains) else {
        throw SettingsError(
          "stage \(settings.name): train: all that pattern \"\(pattern)\" matches, such as "
            + "\(matches[0]), is a target of lora and frozen; take it out of one of the two")
      }
    }
    for group in settings.groups {
      try Self.check(group.pattern, key: "groups", chosen.map(\.name), settings)
    }
    let groups = settings.groups.map { (NamePattern($0.pattern), $0.learningRate) }
    let scoring = Set(model.routers.flatMap { $0.router.scoreParameters.map(\.name) })
    entries = chosen.map { parameter in
      let own = groups.first { $0.0.matches(parameter.name) }?.1
      let common = scoring.contains(parameter.name) ? settings.routerLearningRate : nil
      return Entry(
        parameter: parameter, learningRate: own ?? common ?? settings.learningRate)
    }
  }

  private static func check(
    _ pattern: String, key: String, _ names: [String], _ settings: StageSettings
  ) throws(SettingsError) {
    let matcher = NamePattern(pattern)
    guard !names.contains(where: matcher.matches) else { return }
    let advice =
      nearestName(to: pattern, in: names).map { "did you mean \($0)?" }
      ?? "parameters are named like \(names.last ?? "none"), and * stands for any text"
    let of = key == "train" ? "parameter of the model" : "parameter that trains"
    throw SettingsError(
      "stage \(settings.name): \(key): pattern \"\(pattern)\" matches no \(of); \(advice)")
  }

  /// Makes exactly these parameters trainable.
  func apply(to model: LanguageModel) {
    for parameter in model.parameters { parameter.isTrainable = false }
    for entry in entries { entry.parameter.isTrainable = true }
  }
}
