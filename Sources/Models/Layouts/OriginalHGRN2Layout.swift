import Formats
import Numerics

/// HGRN2 as hgru2-pytorch writes it: `hgrn2` too, told by `decoder_embed_dim`. Norms have no weights,
/// outputs no scale, and the gate of MLPs no activation.
public struct OriginalHGRN2Layout: CheckpointLayout {
  public static let modelTypes: [String] = []
  public static let title: String? = "HGRN2 of hgru2-pytorch (hgrn2)"
  public let configuration: ModelConfiguration

  public static func reads(_ config: ConfigurationFile) throws -> Bool {
    try config.string("model_type") == "hgrn2" && config.contains("decoder_embed_dim")
  }

  public init(_ config: ConfigurationFile) throws {
    let base = try DecoderFields(config, scalesEmbedding: false)
    for (key, kept) in [("in_act", "none"), ("out_act", "silu")] {
      let found = try config.string(key, default: kept)
      guard found == kept else {
        throw ConfigurationError(path: config.path, key: key, expected: kept, found: found)
      }
    }
    guard try config.bool("causal", default: true) else {
      throw ModelError("\(config.path): causal false is not supported; only true")
    }
    let dimension = try config.positive("expand_ratio")
    guard base.hiddenSize % dimension == 0 else {
      throw ModelError(
        "\(config.path): heads of expand_ratio \(dimension) do not divide decoder_embed_dim \(base.hiddenSize)"
      )
    }
    let mixers = (0..<base.layers).map { layer in
      var mixer = LinearMixerConfiguration.hgrn2(
        heads: base.hiddenSize / dimension, dimension: dimension, layer: layer,
        layers: base.layers)
      mixer.outputNorm = .unweighted
      return mixer
    }
    configuration = try base.model(
      mixers: mixers, activation: try config.choice("glu_act", default: Activation.none), config)
  }

  public var bindings: [TensorBinding] {
    // Rows of the value, then of the query, then of the forget gate.
    configuration.decoderBindings(input: ("in_proj", ["v_proj", "q_proj", "f_proj"]))
  }

  public var foreignFields: [String]? {
    DecoderFields.names + ["expand_ratio", "in_act", "out_act", "glu_act", "causal"]
  }
}
