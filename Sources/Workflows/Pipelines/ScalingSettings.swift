import Formats

/// The `scaling` section of a pipeline: which models are trained from scratch on how much text.
public struct ScalingSettings: Sendable, Equatable {
  /// A size of the ladder, the same for all architectures.
  public struct Size: Sendable, Equatable {
    /// Names it in folders and tables.
    public var name: String
    /// Width of the residual stream.
    public var hiddenSize: Int
    /// Blocks.
    public var layers: Int
    /// Heads.
    public var heads: Int
    /// Neurons of each MLP.
    public var width: Int
    /// Peak learning rates of architectures; those left out have the stage's own.
    public var learningRates: [ScalingArchitecture: Double] = [:]
  }

  /// The architectures.
  public var architectures: [ScalingArchitecture]
  /// The sizes.
  public var sizes: [Size]
  /// Tokens that a model is trained on, ascending: a model of its own for each.
  public var tokens: [Int]
  /// Whether trained models stay in the folders of finished cells.
  public var keepsModels: Bool

  /// The most times that a token may be seen: beyond about 4 epochs repeated text is worth less than new
  /// (Muennighoff et al. 2023, "Scaling Data-Constrained Language Models", arXiv 2305.16264).
  static let mostEpochs = 4.0

  init(_ section: ConfigurationFile) throws {
    try section.refuseUnknownKeys(known: ["architectures", "sizes", "tokens", "keep_models"])
    let path = section.path
    architectures = try section.strings("architectures", default: []).map { name in
      guard let architecture = ScalingArchitecture(rawValue: name) else {
        let names = ScalingArchitecture.allCases.map(\.rawValue).joined(separator: ", ")
        throw ConfigurationError(
          path: path, key: "architectures",
          expected: "names of architectures whose cost the paper gives (\(names))", found: name)
      }
      return architecture
    }
    sizes = try section.sections("sizes").map(Self.size)
    tokens = try section.integers("tokens", default: []).sorted()
    keepsModels = try section.bool("keep_models", default: false)
    func check(_ key: String, _ names: [String], _ what: String) throws {
      guard !names.isEmpty, Set(names).count == names.count else {
        throw ConfigurationError(
          path: path, key: key, expected: "a list of \(what), each once",
          found: names.isEmpty ? "nothing" : names.joined(separator: ", "))
      }
    }
    try check("architectures", architectures.map(\.rawValue), "architectures")
    try check("sizes", sizes.map(\.name), "sizes with names of their own")
    try check("tokens", tokens.map { "\($0)" }, "numbers of tokens")
    if let wrong = tokens.first(where: { $0 < 1 }) {
      throw ConfigurationError(
        path: path, key: "tokens", expected: "numbers of at least 1", found: "\(wrong)")
    }
  }

  private static func size(_ section: ConfigurationFile) throws -> Size {
    try section.refuseUnknownKeys(
      known: ["name", "hidden_size", "layers", "heads", "width", "learning_rate"])
    let name = try section.string("name")
    guard Pipeline.isFolderName(name) else {
      throw ConfigurationError(
        path: section.path, key: "name", expected: "letters, digits, - and _", found: name)
    }
    return Size(
      name: name, hiddenSize: try section.positive("hidden_size"),
      layers: try section.positive("layers"), heads: try section.positive("heads"),
      width: try section.positive("width"),
      learningRates: try learningRates(section))
  }

  /// One rate for all architectures, or one for each.
  private static func learningRates(
    _ section: ConfigurationFile
  ) throws -> [ScalingArchitecture: Double] {
    let all = ScalingArchitecture.allCases
    guard section.contains("learning_rate") else { return [:] }
    guard section.object["learning_rate"]?.object != nil else {
      let rate = try section.positiveDouble("learning_rate")
      return Dictionary(uniqueKeysWithValues: all.map { ($0, rate) })
    }
    let rates = try section.section("learning_rate")
    try rates.refuseUnknownKeys(known: all.map(\.rawValue))
    return Dictionary(
      uniqueKeysWithValues: try all.filter { rates.contains($0.rawValue) }.map {
        ($0, try rates.positiveDouble($0.rawValue))
      })
  }
}
