import Formats
import Numerics

/// Herd's own lossless format: LLaMA's fields and names, plus a `herd` object that lists each block.
public struct HerdLayout: CheckpointLayout {
  public static let modelTypes = ["herd"]
  public let configuration: ModelConfiguration

  public init(_ config: ConfigurationFile) throws {
    let base = try LlamaFields(config)
    let herd = try config.section("herd")
    let version = try herd.integer("format_version")
    guard version == 1 else {
      throw ModelError(
        "\(config.path): herd format version \(version) is newer than this program reads (1); update herd"
      )
    }
    let blocks = try herd.sections("blocks")
    guard blocks.count == base.layers else {
      throw ModelError(
        "\(config.path): herd.blocks lists \(blocks.count) blocks, num_hidden_layers says \(base.layers)"
      )
    }
    var model = base.model(
      blocks: try blocks.map { block in
        BlockConfiguration(
          mixer: try MixerConfiguration(
            block.section("mixer"), attention: base.attention, positions: base.maximumPositions),
          mlp: try MLPConfiguration(block.section("mlp")))
      })
    model.embeddingScale = try config.double("embedding_scale", default: 1)
    model.hasNormWeights = try config.bool("norm_weights", default: true)
    model.residual = try config.optionalSection(NormalizedResidual.field).map {
      try NormalizedResidual($0)
    }
    model.positionEncodingHeads = try config.optionalSection("tpe").map {
      try $0.refuseUnknownKeys(known: ["heads"])
      return try $0.integer("heads")
    }
    if let refusal = model.boundsRefusal ?? model.positionEncodingRefusal {
      throw ModelError("\(config.path): \(refusal)")
    }
    configuration = model
  }

  public var bindings: [TensorBinding] {
    configuration.bindings { layer, mlp in
      switch mlp {
      case .dense(let dense): configuration.denseBindings(layer: layer, dense)
      case .mixture(let mixture): configuration.mixtureBindings(layer: layer, mixture)
      }
    }
  }
}

extension HerdLayout {
  /// Lets every mixture, of MLPs and of attention, of a herd `config.json` have a selection bias.
  /// - Throws: ``ModelError`` for another format, which has no place for it.
  static func addSelectionBias(to config: inout ConfigurationFile) throws {
    guard modelTypes.contains(try config.string("model_type")) else {
      throw ModelError(
        "\(config.path): selection biases need herd's own format or glm4_moe; convert with --format herd"
      )
    }
    var herd = try config.section("herd").object
    let blocks = (herd["blocks"]?.array ?? []).map { block -> JSON in
      guard var object = block.object else { return block }
      for (key, type) in [("mlp", "mixture"), ("mixer", "attention_mixture")] {
        guard var part = object[key]?.object, part["type"]?.string == type else { continue }
        part["selection_bias"] = true
        object[key] = .object(part)
      }
      return .object(object)
    }
    herd["blocks"] = .array(blocks)
    config["herd"] = .object(herd)
  }
}

extension ModelConfiguration {
  fileprivate func mixtureBindings(layer: Int, _ mixture: MixtureConfiguration) -> [TensorBinding] {
    let prefix = ParameterName.mlp(layer)
    return routerBindings(layer: layer, mixture)
      + expertBindings(layer: layer, mixture) { expert, matrix in
        "\(prefix).experts.\(expert).\(matrix.rawValue).weight"
      } + sharedBindings(layer: layer, mixture) + outputBiasBindings(layer: layer, mixture)
  }
}

extension MLPConfiguration {
  /// Reads one entry of `herd.blocks[].mlp`.
  init(_ section: ConfigurationFile) throws {
    switch try section.string("type") {
    case "dense":
      self = .dense(
        DenseConfiguration(
          width: try section.positive("width"), bias: try section.bool("bias", default: false),
          activation: try section.choice("activation", default: .silu)))
    case "mixture":
      let width = try section.positive("expert_width")
      let shared = try section.integer("shared", default: 0)
      guard (0...ModelLimits.experts).contains(shared) else {
        throw ConfigurationError(
          path: section.path, key: "shared",
          expected: "an integer from 0 to \(ModelLimits.experts)", found: "\(shared)")
      }
      let mixture = MixtureConfiguration(
        experts: try section.positive("experts", maximum: ModelLimits.experts),
        topK: try section.positive("top_k"),
        expertWidth: width, sharedWidth: width * shared,
        combination: try Combination(section.section("combination")),
        routerKind: try RouterKind(section),
        routerRank: try section.integer("router_rank", default: 1),
        routerBias: try section.bool("router_bias", default: false),
        scoreThreshold: try section.optionalDouble("score_threshold"),
        noiseWeight: try section.bool("noise_weight", default: false),
        selectionBias: try section.bool("selection_bias", default: false),
        outputBias: try section.bool("output_bias", default: false))
      try mixture.validate(section)
      self = .mixture(mixture)
    case let type:
      throw ModelError("\(section.path): MLP type \"\(type)\" is not known; update herd")
    }
  }

  /// The entry of `herd.blocks[].mlp` that ``init(_:)`` reads back.
  public var json: JSON {
    switch self {
    case .dense(let dense):
      var object: JSONObject = [
        "type": "dense", "width": JSON(dense.width), "bias": JSON(dense.bias),
      ]
      if dense.activation != .silu { object["activation"] = JSON(dense.activation.rawValue) }
      return .object(object)
    case .mixture(let mixture):
      var object: JSONObject = [
        "type": "mixture", "experts": JSON(mixture.experts), "top_k": JSON(mixture.topK),
        "shared": JSON(mixture.sharedWidth / mixture.expertWidth),
        "expert_width": JSON(mixture.expertWidth), "combination": mixture.combination.json,
        "router_bias": JSON(mixture.routerBias), "selection_bias": JSON(mixture.selectionBias),
        "output_bias": JSON(mixture.outputBias),
      ]
      if mixture.routerKind != .linear { object["router_kind"] = JSON(mixture.routerKind.rawValue) }
      if mixture.routerRank != 1 { object["router_rank"] = JSON(mixture.routerRank) }
      if let threshold = mixture.scoreThreshold { object["score_threshold"] = JSON(threshold) }
      if mixture.noiseWeight { object["noise_weight"] = true }
      return .object(object)
    }
  }
}

extension RouterKind {
  fileprivate init(_ section: ConfigurationFile) throws {
    let name = try section.string("router_kind", default: RouterKind.linear.rawValue)
    guard let kind = RouterKind(rawValue: name) else {
      throw ModelError("\(section.path): router \"\(name)\" is not known; update herd")
    }
    self = kind
  }
}

extension Combination {
  /// Whether weights depend on which other experts are chosen.
  var sharesWeight: Bool {
    switch self {
    case .renormalizedSoftmax, .renormalizedSigmoid: true
    case .softmax, .sigmoid, .gained, .uniform: false
    }
  }

  init(_ section: ConfigurationFile) throws {
    let scale = try section.double("scale", default: 1)
    switch try section.string("rule") {
    case "gained": self = .gained
    case "renormalized_softmax": self = .renormalizedSoftmax(scale: scale)
    case "softmax": self = .softmax(scale: scale)
    case "sigmoid": self = .sigmoid(scale: scale)
    case "renormalized_sigmoid": self = .renormalizedSigmoid(scale: scale)
    case let rule:
      throw ModelError("\(section.path): combination rule \"\(rule)\" is not known; update herd")
    }
  }

  /// The rule as the `herd` format writes it.
  public var json: JSON {
    switch self {
    case .gained: ["rule": "gained"]
    case .renormalizedSoftmax(let scale):
      ["rule": "renormalized_softmax", "scale": JSON(scale)]
    case .softmax(let scale): ["rule": "softmax", "scale": JSON(scale)]
    case .sigmoid(let scale): ["rule": "sigmoid", "scale": JSON(scale)]
    case .renormalizedSigmoid(let scale):
      ["rule": "renormalized_sigmoid", "scale": JSON(scale)]
    case .uniform(let weight): ["rule": "uniform", "scale": JSON(weight)]
    }
  }
}
