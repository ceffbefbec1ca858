import Formats
import Numerics

extension LinearMixerConfiguration {
  /// Reads one entry of `herd.blocks[].mixer` of type `linear`.
  public init(_ section: ConfigurationFile) throws {
    try section.refuseUnknownKeys(known: Self.keys)
    let heads = try section.positive("heads", maximum: 1 << 16)
    let keyDimension = try section.positive("key_dimension", maximum: 256)
    func map(_ key: String) throws -> FeatureMap {
      let name = try section.string(key, default: Activation.none.rawValue)
      guard let map = FeatureMap(name: name) else {
        throw ConfigurationError(
          path: section.path, key: key,
          expected: "one of \(FeatureMap.all.map(\.name).joined(separator: ", "))", found: name)
      }
      return map
    }
    self.init(
      heads: heads, keyHeads: try section.positive("key_heads", maximum: 1 << 16),
      keyDimension: keyDimension,
      valueDimension: try section.positive("value_dimension", maximum: 256),
      expand: try section.choice("expand", default: .projected),
      shrink: try section.choice("shrink", default: .projected),
      decay: try Decay(section.section("decay")),
      update: try section.choice("update", default: .sum), queryMap: try map("query_map"),
      keyMap: try map("key_map"), valueMap: try map("value_map"),
      queryKeyNorm: try section.bool("query_key_norm", default: false),
      queryKeyL2Norm: try section.bool("query_key_l2_norm", default: false),
      positions: try section.optionalSection("positions").map { try Positions($0) } ?? .none,
      scale: try section.double("scale"),
      outputNorm: try section.choice("output_norm", default: OutputNorm.none),
      gate: try section.optionalSection("gate").map { try Gate($0) },
      normEpsilon: try section.optionalDouble("norm_epsilon"),
      window: try section.optionalInteger("window"))
    if let refusal { throw ModelError("\(section.path): \(refusal)") }
  }

  private static let keys = [
    "type", "heads", "key_heads", "key_dimension", "value_dimension", "expand", "shrink", "decay",
    "query_map", "key_map", "value_map", "query_key_norm", "positions", "scale", "output_norm",
    "gate", "window", "norm_epsilon", "update", "query_key_l2_norm",
  ]

  /// The entry of `herd.blocks[].mixer` that ``init(_:)`` reads back.
  public var json: JSON {
    var object: JSONObject = [
      "type": "linear", "heads": JSON(heads), "key_heads": JSON(keyHeads),
      "key_dimension": JSON(keyDimension), "value_dimension": JSON(valueDimension),
      "expand": JSON(expand.rawValue), "shrink": JSON(shrink.rawValue), "decay": decay.json,
      "query_map": JSON(queryMap.name), "key_map": JSON(keyMap.name),
      "value_map": JSON(valueMap.name), "query_key_norm": JSON(queryKeyNorm),
      "scale": JSON(scale), "output_norm": JSON(outputNorm.rawValue),
    ]
    if positions != .none { object["positions"] = positions.json }
    if update != .sum { object["update"] = JSON(update.rawValue) }
    if queryKeyL2Norm { object["query_key_l2_norm"] = JSON(true) }
    if let normEpsilon { object["norm_epsilon"] = JSON(normEpsilon) }
    if let window { object["window"] = JSON(window) }
    if let gate {
      object["gate"] = [
        "rank": gate.rank.map { JSON($0) } ?? .null, "activation": JSON(gate.activation.rawValue),
        "before_norm": JSON(gate.beforeNorm),
      ]
    }
    return .object(object)
  }
}

extension LinearMixerConfiguration.Gate {
  fileprivate init(_ section: ConfigurationFile) throws {
    try section.refuseUnknownKeys(known: ["rank", "activation", "before_norm"])
    self.init(
      rank: try section.optionalInteger("rank").map { _ in try section.positive("rank") },
      activation: try section.choice("activation"),
      beforeNorm: try section.bool("before_norm", default: false))
  }
}

extension LinearMixerConfiguration.Decay {
  fileprivate init(_ section: ConfigurationFile) throws {
    let kind = try section.string("kind")
    try ConfigurationFile(path: "\(section.path) of kind \(kind)", object: section.object)
      .refuseUnknownKeys(known: ["kind"] + Self.keys(of: kind))
    let temperature = try section.double("temperature", default: 1)
    switch kind {
    case "none": self = .none
    case "fixed":
      self = .fixed(
        family: try section.string("family"), slopes: try section.doubles("slopes"))
    case "learned":
      self = .learned(
        perChannel: try section.bool("per_channel", default: false), temperature: temperature)
    case "head_gate": self = .headGate(temperature: temperature)
    case "outer": self = .outer(temperature: temperature)
    case "elementwise": self = .elementwise(temperature: temperature)
    case "selective": self = .selective
    case "channel_gate":
      let bound = try section.optionalSection("lower_bound").map {
        LinearMixerConfiguration.LowerBound(
          row: try $0.integer("row"), rows: try $0.positive("rows", maximum: ModelLimits.layers))
      }
      self = .channelGate(lowerBound: bound, temperature: temperature)
    default:
      throw ConfigurationError(
        path: section.path, key: "kind",
        expected:
          "one of none, fixed, learned, head_gate, channel_gate, outer, elementwise, selective",
        found: kind)
    }
  }

  /// What a kind has besides its name; for no kind, what any has.
  private static func keys(of kind: String) -> [String] {
    switch kind {
    case "none", "selective": []
    case "fixed": ["family", "slopes"]
    case "learned": ["per_channel", "temperature"]
    case "head_gate", "outer", "elementwise": ["temperature"]
    case "channel_gate": ["lower_bound", "temperature"]
    default: ["family", "slopes", "per_channel", "lower_bound", "temperature"]
    }
  }

  fileprivate var json: JSON {
    switch self {
    case .none: return ["kind": "none"]
    case .fixed(let family, let slopes):
      return [
        "kind": "fixed", "family": JSON(family), "slopes": .array(slopes.map { JSON($0) }),
      ]
    case .learned(let perChannel, let temperature):
      return [
        "kind": "learned", "per_channel": JSON(perChannel), "temperature": JSON(temperature),
      ]
    case .headGate(let temperature):
      return ["kind": "head_gate", "temperature": JSON(temperature)]
    case .outer(let temperature): return ["kind": "outer", "temperature": JSON(temperature)]
    case .elementwise(let temperature):
      return ["kind": "elementwise", "temperature": JSON(temperature)]
    case .selective: return ["kind": "selective"]
    case .channelGate(let bound, let temperature):
      var object: JSONObject = ["kind": "channel_gate", "temperature": JSON(temperature)]
      if let bound {
        object["lower_bound"] = ["row": JSON(bound.row), "rows": JSON(bound.rows)]
      }
      return .object(object)
    }
  }
}

extension LinearMixerConfiguration.Positions {
  fileprivate init(_ section: ConfigurationFile) throws {
    try section.refuseUnknownKeys(known: [
      "kind", "base", "rope_theta", "rope_scaling", "rope_parameters",
    ])
    switch try section.string("kind") {
    case "none": self = .none
    case "rope": self = .rope(try RoPEConfiguration(section))
    case "lrpe": self = .lrpe
    case "lrpe_cosine": self = .lrpeCosine(base: try section.positiveDouble("base"))
    case let kind:
      throw ConfigurationError(
        path: section.path, key: "kind", expected: "one of none, rope, lrpe, lrpe_cosine",
        found: kind)
    }
  }

  fileprivate var json: JSON {
    switch self {
    case .none: return ["kind": "none"]
    case .lrpe: return ["kind": "lrpe"]
    case .lrpeCosine(let base): return ["kind": "lrpe_cosine", "base": JSON(base)]
    case .rope(let rope):
      var object: JSONObject = ["kind": "rope", "rope_theta": JSON(rope.theta)]
      if let scaling = rope.scaling.json { object["rope_scaling"] = scaling }
      return .object(object)
    }
  }
}

extension RoPEConfiguration.Scaling {
  /// As `rope_scaling` of a `config.json` has it; `nil` for plain frequencies.
  public var json: JSON? {
    switch self {
    case .none: nil
    case .linear(let factor): ["rope_type": "linear", "factor": JSON(factor)]
    case .llama3(let factor, let low, let high, let positions):
      [
        "rope_type": "llama3", "factor": JSON(factor), "low_freq_factor": JSON(low),
        "high_freq_factor": JSON(high), "original_max_position_embeddings": JSON(positions),
      ]
    }
  }
}
