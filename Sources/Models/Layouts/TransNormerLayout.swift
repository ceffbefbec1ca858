import Formats
import Numerics

/// TransNormerLLM as released (`transnormer`): the slopes of ``DecaySlopes/tnl``, and LRPE in the layers
/// that a list names.
public struct TransNormerLayout: CheckpointLayout {
  public static let modelTypes = ["transnormer"]
  public let configuration: ModelConfiguration
  /// ε of all norms, which no field of the format sets.
  public static let normEpsilon = DecoderFields.normEpsilon

  public init(_ config: ConfigurationFile) throws {
    let base = try DecoderFields(config, scalesEmbedding: true)
    let activation = try config.string("linear_act_fun", default: "silu")
    guard ["silu", "swish"].contains(activation) else {
      throw ConfigurationError(
        path: config.path, key: "linear_act_fun", expected: "silu", found: activation)
    }
    let heads = try config.positive("decoder_attention_heads", maximum: 1 << 16)
    let width = try config.positive("hidden_dim")
    guard width % heads == 0 else {
      throw ModelError(
        "\(config.path): decoder_attention_heads \(heads) does not divide hidden_dim \(width)")
    }
    let encoded = try Self.encodedLayers(config, count: base.layers)
    let mixers = (0..<base.layers).map { layer in
      var mixer = LinearMixerConfiguration.transnormer(
        heads: heads, dimension: width / heads, layer: layer, layers: base.layers)
      mixer.positions = encoded[layer] ? .lrpe : .none
      return mixer
    }
    configuration = try base.model(mixers: mixers, activation: .none, config)
  }

  /// Which layers turn queries and keys by position.
  private static func encodedLayers(_ config: ConfigurationFile, count: Int) throws -> [Bool] {
    let key = "linear_use_lrpe_list"
    let list = try config.integers(key, default: [])
    guard list.count == count, list.allSatisfy({ $0 == 0 || $0 == 1 }) else {
      throw ConfigurationError(
        path: config.path, key: key,
        expected: "\(count) numbers 0 or 1, which layers have LRPE (released models: the first)",
        found: list.isEmpty ? "none" : "\(list)")
    }
    return list.map { $0 == 1 }
  }

  public var bindings: [TensorBinding] {
    configuration.decoderBindings(
      input: ("qkvu_proj", ["q_proj", "k_proj", "v_proj", "g_proj"])
    ) { prefix, own, mixer in
      guard mixer.positions == .lrpe else { return [] }
      return [
        TensorBinding(
          "\(prefix).lrpe.theta", [mixer.heads, 1, mixer.keyDimension],
          parameter: "\(own).lrpe.theta")
      ]
    }
  }

  public var foreignFields: [String]? {
    DecoderFields.names + [
      "decoder_attention_heads", "hidden_dim", "linear_act_fun", "linear_use_lrpe_list",
    ]
  }
}
