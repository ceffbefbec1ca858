import Formats
import Numerics

extension MixerConfiguration {
  /// Reads one entry of `herd.blocks[].mixer`.
  ///
  /// - Parameter attention: What `config.json` says of softmax attention.
  init(_ section: ConfigurationFile, attention: AttentionConfiguration) throws {
    self =
      try section.string("type") == "linear"
      ? .linear(LinearMixerConfiguration(section)) : .attention(attention.mixed(section))
  }

  /// The entry of `herd.blocks[].mixer` that ``init(_:attention:)`` reads back.
  public var json: JSON {
    switch self {
    case .attention(let attention): attention.mixture?.json ?? ["type": "attention"]
    case .linear(let linear): linear.json
    }
  }
}

extension AttentionConfiguration {
  /// This attention as one entry of `herd.blocks[].mixer` has it.
  func mixed(_ section: ConfigurationFile) throws -> AttentionConfiguration {
    var result = self
    switch try section.string("type") {
    case "attention": result.mixture = nil
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
