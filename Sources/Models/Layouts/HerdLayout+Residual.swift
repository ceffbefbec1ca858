import Formats

extension NormalizedResidual {
  /// The field of a herd `config.json`.
  public static let field = "normalized_residual"

  /// Reads the object of ``field``.
  init(_ section: ConfigurationFile) throws {
    self.init()
    try section.refuseUnknownKeys(known: ["attention", "linear", "mlp"])
    attention = try Factors(section.section("attention"))
    linear = try Factors(section.section("linear"))
    mlp = try Factors(section.section("mlp"))
  }

  /// The object that ``init(_:)`` reads back.
  public var json: JSON {
    ["attention": attention.json, "linear": linear.json, "mlp": mlp.json]
  }
}

extension NormalizedResidual.Factors {
  fileprivate init(_ section: ConfigurationFile) throws {
    try section.refuseUnknownKeys(known: ["alpha", "beta"])
    self.init(alpha: try section.double("alpha"), beta: try section.double("beta"))
  }

  fileprivate var json: JSON { ["alpha": JSON(alpha), "beta": JSON(beta)] }
}

extension HerdLayout {
  /// Sets the fields of a herd `config.json` that say of `model` what LLaMA has no words for; what
  /// LLaMA has goes unsaid.
  public static func setAdditions(of model: ModelConfiguration, in config: inout JSONObject) {
    config["embedding_scale"] = model.embeddingScale == 1 ? nil : JSON(model.embeddingScale)
    config["norm_weights"] = model.hasNormWeights ? nil : false
    config[NormalizedResidual.field] = model.residual?.json
    config["tpe"] = model.positionEncodingHeads.map { ["heads": JSON($0)] }
  }

  /// The fields of ``setAdditions(of:in:)``.
  public static let additionalFields = [
    "embedding_scale", "norm_weights", NormalizedResidual.field, "tpe",
  ]
}
