import Formats
import Numerics

extension MixerConfiguration {
  /// Reads one entry of `herd.blocks[].mixer`.
  ///
  /// - Parameters:
  ///   - attention: What `config.json` says of softmax attention.
  ///   - positions: The model's.
  init(_ section: ConfigurationFile, attention: AttentionConfiguration, positions: Int) throws {
    self =
      try section.string("type") == "linear"
      ? .linear(LinearMixerConfiguration(section))
      : .attention(attention.mixed(section, positions: positions))
  }

  /// The entry of `herd.blocks[].mixer` that ``init(_:attention:positions:)`` reads back.
  public var json: JSON {
    switch self {
    case .attention(let attention): attention.json
    case .linear(let linear): linear.json
    }
  }
}

extension AttentionConfiguration {
  /// This attention as one entry of `herd.blocks[].mixer` has it.
  /// - Parameter positions: The model's, which a growth of the scores with the length is made for.
  func mixed(_ section: ConfigurationFile, positions: Int) throws -> AttentionConfiguration {
    var result = self
    switch try section.string("type") {
    case "attention":
      result.mixture = nil
      try result.readAdditions(section, positions: positions)
    case "attention_mixture":
      let mixture = try AttentionMixtureConfiguration(section)
      if let refusal = mixture.refusal(self) {
        throw ModelError("\(section.path): \(refusal); the file is damaged")
      }
      result.mixture = mixture
    case let type:
      throw ModelError("\(section.path): mixer \"\(type)\" is not known; update herd")
    }
    return result
  }
}

extension AttentionConfiguration {
  /// Fields of `herd.blocks[].mixer` that plain attention is written without.
  private mutating func readAdditions(_ section: ConfigurationFile, positions: Int) throws {
    normalizesHeads = try section.bool("qk_norm", default: false)
    hasOutputGate = try section.bool("output_gate", default: false)
    let kind = try section.string("positions", default: "rope")
    guard ["rope", "none"].contains(kind) else {
      throw ConfigurationError(
        path: section.path, key: "positions", expected: "rope or none", found: kind)
    }
    hasPositions = kind == "rope"
    guard let base = try section.optionalDouble("log_scale") else { return }
    guard base > 1, base.isFinite else {
      throw ConfigurationError(
        path: section.path, key: "log_scale", expected: "a number above 1", found: "\(base)")
    }
    logScale = LogLengthScale(base: base, positions: positions)
  }

  /// The entry of `herd.blocks[].mixer` that ``mixed(_:positions:)`` reads back.
  public var json: JSON {
    if let mixture { return mixture.json }
    var object: JSONObject = ["type": "attention"]
    if normalizesHeads { object["qk_norm"] = true }
    if !hasPositions { object["positions"] = "none" }
    if hasOutputGate { object["output_gate"] = true }
    if let logScale { object["log_scale"] = JSON(logScale.base) }
    return .object(object)
  }

  /// What hybrids add to this attention, in words; `nil` where it is LLaMA's.
  public var additions: String? {
    let parts = [
      (normalizesHeads, "norms of queries and keys"), (!hasPositions, "no positions"),
      (hasOutputGate, "an output gate"), (logScale != nil, "scores that grow with the length"),
    ]
    return isPlain ? nil : parts.filter(\.0).map(\.1).joined(separator: ", ")
  }
}

extension AttentionMixtureConfiguration {
  fileprivate init(_ section: ConfigurationFile) throws {
    let name = try section.string("kind")
    guard let kind = Kind(rawValue: name) else {
      throw ModelError("\(section.path): attention experts \"\(name)\" are not known; update herd")
    }
    self.init(
      kind: kind, experts: try section.positive("experts", maximum: ModelLimits.experts),
      topK: try section.positive("top_k"),
      sharedHeads: try section.integers("shared_heads", default: []),
      combination: try Combination(section.section("combination")),
      routerBias: try section.bool("router_bias", default: false),
      selectionBias: try section.bool("selection_bias", default: false))
  }

  /// The entry of `herd.blocks[].mixer` for attention of this kind.
  public var json: JSON {
    [
      "type": "attention_mixture", "kind": JSON(kind.rawValue), "experts": JSON(experts),
      "top_k": JSON(topK), "shared_heads": .array(sharedHeads.map { JSON($0) }),
      "combination": combination.json, "router_bias": JSON(routerBias),
      "selection_bias": JSON(selectionBias),
    ]
  }
}
