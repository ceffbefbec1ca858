import Formats
import Glibc
import Numerics

extension MiniMaxLayout {
  /// With s a head's slope and i, j the tokens 1 to B of a block: s, exp(-s·i), exp(-s·(B-i)), and
  /// exp(-s·(i-j)) where i is not before j.
  static func tables(layer: Int, slopes: [Double], block: Int) -> [RepeatedTensor] {
    let prefix = "\(ParameterName.block(layer)).self_attn"
    let tokens = 0..<block
    func table(
      _ name: String, _ shape: [Int], rows: Int, _ row: @escaping @Sendable (Int) -> [Double]
    ) -> RepeatedTensor {
      RepeatedTensor(
        tensor: "\(prefix).\(name)", shape: shape, tolerance: 1e-6, halfTolerance: 0x1p-8,
        rows: rows, row: row)
    }
    return [
      // One row, so that every slope is looked at.
      RepeatedTensor(
        tensor: "\(prefix).slope_rate", shape: [slopes.count, 1, 1], tolerance: 1e-7,
        halfTolerance: 1e-7, rows: 1
      ) { _ in slopes },
      table("query_decay", [slopes.count, block, 1], rows: slopes.count) { head in
        tokens.map { exp(-slopes[head] * Double($0 + 1)) }
      },
      table("key_decay", [slopes.count, block, 1], rows: slopes.count) { head in
        tokens.map { exp(-slopes[head] * Double(block - $0 - 1)) }
      },
      table("diagonal_decay", [1, slopes.count, block, block], rows: slopes.count * block) {
        let (head, row) = $0.quotientAndRemainder(dividingBy: block)
        return tokens.map { $0 > row ? 0 : exp(-slopes[head] * Double(row - $0)) }
      },
    ]
  }

  /// The fields with the values that transformers gives those it does not find.
  static func withDefaults(_ config: ConfigurationFile) throws -> ConfigurationFile {
    var fields = config
    let defaults: [(String, JSON)] = [
      ("num_key_value_heads", 8), ("max_position_embeddings", JSON(4096 * 32)),
      ("rms_norm_eps", JSON(1e-5)),
    ]
    for (key, value) in defaults where config[key] == nil { fields[key] = value }
    // A field that is there and empty stands for as many as query heads.
    if config["num_key_value_heads"]?.isNull == true {
      fields["num_key_value_heads"] = config["num_attention_heads"]
    }
    let rotary = try config.optionalSection("rope_parameters")
    if !config.contains("rope_theta"), rotary?.contains("rope_theta") != true {
      fields["rope_theta"] = JSON(1e6)
    }
    for rotary in [rotary, try config.optionalSection("rope_scaling")].compactMap({ $0 }) {
      let factor = try rotary.double("partial_rotary_factor", default: 1)
      guard factor == 1 else {
        throw ModelError(
          "\(rotary.path): partial_rotary_factor \(factor) is not supported; only 1")
      }
    }
    // Its projections have none, whatever the field says.
    fields["attention_bias"] = nil
    return fields
  }

  /// Whether each layer is lightning attention.
  static func linearLayers(_ config: ConfigurationFile, count: Int) throws -> [Bool] {
    let result: [Bool]
    let key: String
    if config.contains("layer_types") || !config.contains("attn_type_list") {
      key = "layer_types"
      let types = try config.strings(
        key,
        default: (0..<count).map { $0 % 2 == 0 ? "full_attention" : "linear_attention" })
      for type in types where !["full_attention", "linear_attention"].contains(type) {
        throw ConfigurationError(
          path: config.path, key: key, expected: "full_attention or linear_attention per layer",
          found: type)
      }
      result = types.map { $0 == "linear_attention" }
    } else {
      key = "attn_type_list"
      let types = try config.integers(key, default: [])
      for type in types where ![0, 1].contains(type) {
        throw ConfigurationError(
          path: config.path, key: key, expected: "0 (linear) or 1 (softmax) per layer",
          found: "\(type)")
      }
      result = types.map { $0 == 0 }
    }
    guard result.count == count else {
      throw ModelError(
        "\(config.path): \(key) lists \(result.count) layers, num_hidden_layers says \(count)")
    }
    return result
  }

  static func mlp(_ config: ConfigurationFile) throws -> MLPConfiguration {
    let experts = try config.positive("num_local_experts", maximum: ModelLimits.experts)
    let topK = try config.positive("num_experts_per_tok")
    let width = try config.positive("intermediate_size")
    // The weight of one expert is 1, whatever its score.
    if experts == 1, topK == 1 { return .dense(DenseConfiguration(width: width)) }
    let mixture = MixtureConfiguration(
      experts: experts, topK: topK, expertWidth: width,
      combination: .renormalizedSoftmax(scale: 1), foldedScale: try config.foldedScale())
    try mixture.validate(config)
    return .mixture(mixture)
  }

  /// The fields of the residual connections and what they set.
  static let residualFields:
    [(name: String, path: WritableKeyPath<NormalizedResidual, Double> & Sendable)] = [
      ("full_attn_alpha_factor", \.attention.alpha), ("full_attn_beta_factor", \.attention.beta),
      ("linear_attn_alpha_factor", \.linear.alpha), ("linear_attn_beta_factor", \.linear.beta),
      ("mlp_alpha_factor", \.mlp.alpha), ("mlp_beta_factor", \.mlp.beta),
    ]

  static func residual(_ config: ConfigurationFile) throws -> NormalizedResidual {
    var residual = NormalizedResidual()
    for (name, path) in residualFields {
      residual[keyPath: path] = try config.double(name, default: 1)
    }
    return residual
  }

  /// Sets the fields that say which layers of `model` are linear and how residual connections are made.
  public static func setFields(
    of model: ModelConfiguration, _ residual: NormalizedResidual,
    in config: inout ConfigurationFile
  ) {
    let mixers = model.blocks.map(\.mixer)
    config["layer_types"] = .array(
      mixers.map {
        if case .linear = $0 { "linear_attention" } else { "full_attention" }
      })
    // Tables of block² numbers a head are written, so a small one.
    config["block_size"] = 64
    for (name, path) in residualFields { config[name] = JSON(residual[keyPath: path]) }
  }
}
