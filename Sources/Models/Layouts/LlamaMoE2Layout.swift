import Formats
import Numerics

/// LLaMA-MoE-v2 (Qu et al. 2024): `mixtral` with a scale on the routed sum, an ungated residual MLP,
/// dense layers at both ends, and attention made of key groups.
///
/// The published converter writes Mixtral's default `sliding_window` of 4096 for models that have
/// none, so that value counts as none.
public struct LlamaMoE2Layout: CheckpointLayout {
  public static let modelTypes: [String] = []
  public static let title: String? = "LLaMA-MoE v2 (mixtral)"
  public private(set) var configuration: ModelConfiguration

  /// Fields that Mixtral does not have; each marks a `mixtral` folder as one of these.
  private static let fields = [
    "scale_factor", "intermediate_size_residual", "num_moe_contract_layers", "moe_type",
    "use_attn_moe", "top_k_attn", "attn_experts", "scale_factor_attn", "add_rescale_bias",
    "use_layer_wise_balance",
  ]

  public static func reads(_ config: ConfigurationFile) throws -> Bool {
    try config.string("model_type") == "mixtral" && fields.contains { config.object.contains($0) }
  }

  public init(_ config: ConfigurationFile) throws {
    let base = try LlamaFields(config)
    guard try !config.bool("add_rescale_bias", default: false) else {
      throw ModelError(
        "\(config.path): add_rescale_bias gives experts an output bias, which is not supported; use the checkpoint from before the alignment"
      )
    }
    let kind = try config.string("moe_type", default: "modulelist")
    guard kind == "modulelist" else {
      throw ModelError("\(config.path): moe_type \"\(kind)\" is not supported; only modulelist is")
    }
    let mixture = try Self.mixture(config)
    let dense = MLPConfiguration.dense(
      DenseConfiguration(width: mixture.experts * mixture.expertWidth + mixture.sharedWidth))
    let ends = try config.integer("num_moe_contract_layers", default: 0)
    guard ends >= 0, 2 * ends <= base.layers else {
      throw ConfigurationError(
        path: config.path, key: "num_moe_contract_layers",
        expected: "an integer from 0 to \(base.layers / 2)", found: "\(ends)")
    }
    let attention = try Self.attention(config, base.attention)
    guard attention.mixture == nil || ends == 0 else {
      throw ModelError(
        "\(config.path): use_attn_moe with num_moe_contract_layers \(ends): the published converter leaves those layers with random weights; convert again with 0"
      )
    }
    configuration = base.model(
      blocks: (0..<base.layers).map { layer in
        let isDense = layer < ends || layer >= base.layers - ends
        return BlockConfiguration(
          mixer: .attention(attention), mlp: isDense ? dense : .mixture(mixture))
      })
  }

  public var bindings: [TensorBinding] {
    configuration.bindings(mixer: mixerBindings) { layer, mlp in
      switch mlp {
      case .dense(let dense): return configuration.denseBindings(layer: layer, dense)
      case .mixture(let mixture):
        let block = ParameterName.block(layer)
        let names: [ExpertMatrix: String] = [.gate: "w1", .up: "w3", .down: "w2"]
        let router = TensorBinding(
          "\(block).block_sparse_moe.gate.weight", [mixture.experts, configuration.hiddenSize],
          parameter: "\(ParameterName.mlp(layer)).router.weight")
        let experts = configuration.expertBindings(layer: layer, mixture) { expert, matrix in
          "\(block).block_sparse_moe.experts.\(expert).\(names[matrix] ?? "").weight"
        }
        let residual = ExpertMatrix.allCases.map { matrix in
          TensorBinding(
            "\(block).mlp_residual.\(names[matrix] ?? "").weight",
            matrix.shape(width: mixture.sharedWidth, hidden: configuration.hiddenSize),
            parameter: "\(ParameterName.mlp(layer)).shared_expert.\(matrix.rawValue).weight")
        }
        return [router] + experts + (mixture.sharedWidth > 0 ? residual : [])
      }
    }
  }

  /// Each expert has projections of its own: rows of the query, key and value projections, columns
  /// of the output projection.
  private func mixerBindings(layer: Int, _ attention: AttentionConfiguration) -> [TensorBinding] {
    guard let mixture = attention.mixture else {
      return configuration.mixerBindings(layer: layer, attention)
    }
    let prefix = "\(ParameterName.block(layer)).self_attn"
    let hidden = configuration.hiddenSize
    let keys = attention.headDimension
    let queries = attention.heads / mixture.experts * keys
    var result = [
      TensorBinding(
        "\(prefix).gate.weight", [mixture.experts, hidden], parameter: "\(prefix).router.weight")
    ]
    for expert in 0..<mixture.experts {
      for (name, rows) in [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)] {
        result.append(
          TensorBinding(
            "\(prefix).\(name).\(expert).weight", [rows, hidden],
            parts: [
              .init(
                parameter: "\(prefix).\(name).weight", offset: expert * rows * hidden,
                count: rows * hidden)
            ]))
      }
      let columns = attention.heads * attention.headDimension
      result.append(
        TensorBinding(
          "\(prefix).o_proj.\(expert).weight", [hidden, queries],
          parts: (0..<hidden).map { row in
            .init(
              parameter: "\(prefix).o_proj.weight", offset: row * columns + expert * queries,
              count: queries)
          }))
    }
    return result
  }

  public var withSelectionBias: Self? {
    var biased = self
    biased.configuration = configuration.withSelectionBiases
    return biased
  }

  public var foreignFields: [String]? {
    Self.fields + [
      "num_local_experts", "num_experts_per_tok", "router_aux_loss_coef", "output_router_logits",
      "router_jitter_noise",
    ]
  }

  private static func mixture(_ config: ConfigurationFile) throws -> MixtureConfiguration {
    let width = try config.positive("intermediate_size")
    let shared = try config.integer("intermediate_size_residual", default: 0)
    guard shared >= 0, shared <= 1 << 22, shared % width == 0 else {
      throw ConfigurationError(
        path: config.path, key: "intermediate_size_residual",
        expected: "a multiple of intermediate_size \(width)", found: "\(shared)")
    }
    let mixture = MixtureConfiguration(
      experts: try config.positive("num_local_experts", maximum: ModelLimits.experts),
      topK: try config.positive("num_experts_per_tok"), expertWidth: width, sharedWidth: shared,
      combination: .renormalizedSoftmax(
        scale: try config.positiveDouble("scale_factor", default: 1)))
    try mixture.validate(config)
    return mixture
  }

  /// The attention of every layer; with experts, each of them has a key head of its own.
  private static func attention(_ config: ConfigurationFile, _ dense: AttentionConfiguration)
    throws -> AttentionConfiguration
  {
    var attention = dense
    if attention.window == 4096 { attention.window = nil }
    guard try config.bool("use_attn_moe", default: false) else { return attention }
    let experts = try config.integer("attn_experts", default: dense.keyHeads)
    attention.keyHeads = experts
    let mixture = AttentionMixtureConfiguration(
      kind: .keyGroup, experts: experts, topK: try config.positive("top_k_attn"),
      combination: .renormalizedSoftmax(
        scale: try config.positiveDouble("scale_factor_attn", default: 1)))
    guard experts > 0, dense.heads % experts == 0, !dense.inputBias, !dense.outputBias else {
      throw ModelError(
        "\(config.path): attn_experts \(experts) must divide num_attention_heads \(dense.heads), and attention_bias must be false"
      )
    }
    if let refusal = mixture.refusal(attention) { throw ModelError("\(config.path): \(refusal)") }
    attention.mixture = mixture
    return attention
  }
}
