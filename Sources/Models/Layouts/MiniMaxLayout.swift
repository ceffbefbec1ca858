import Formats
import Numerics

/// MiniMax-01 as transformers has it (`MiniMaxForCausalLM`): lightning and softmax layers, Mixtral's
/// experts, and residual connections of normalised rows. One expert is a dense MLP.
public struct MiniMaxLayout: CheckpointLayout {
  public static let modelTypes = ["minimax"]
  public private(set) var configuration: ModelConfiguration
  /// Tokens that transformers works through at once; no matter to the model.
  private let blockSize: Int

  public init(_ config: ConfigurationFile) throws {
    blockSize =
      config.contains("block_size") ? try config.positive("block_size", maximum: 4096) : 256
    let fields = try Self.withDefaults(config)
    let base = try LlamaFields(fields)
    let attention = base.attention
    let rotated = try config.integer("rotary_dim", default: attention.headDimension)
    guard rotated == attention.headDimension else {
      throw ModelError(
        "\(config.path): rotary_dim \(rotated) of head_dim \(attention.headDimension): rotary positions of a part of a head are not supported, and transformers turns all of it"
      )
    }
    let isLinear = try Self.linearLayers(config, count: base.layers)
    let mlp = try Self.mlp(config)
    var model = base.model(
      blocks: isLinear.enumerated().map { layer, isLinear in
        let mixer = LinearMixerConfiguration.minimax(
          heads: attention.heads, dimension: attention.headDimension, layer: layer,
          layers: base.layers)
        return BlockConfiguration(
          mixer: isLinear ? .linear(mixer) : .attention(attention), mlp: mlp)
      })
    model.residual = try Self.residual(config)
    for case .linear(let mixer) in model.blocks.map(\.mixer) {
      if let refusal = mixer.refusal { throw ModelError("\(config.path): \(refusal)") }
    }
    configuration = model
  }

  public var bindings: [TensorBinding] {
    configuration.bindings(linear: linearBindings) { layer, mlp in
      switch mlp {
      case .dense(let dense): denseBindings(layer: layer, dense)
      case .mixture(let mixture):
        [
          TensorBinding(
            Self.router(layer), [mixture.experts, configuration.hiddenSize],
            parameter: "\(ParameterName.mlp(layer)).router.weight")
        ]
          + configuration.expertBindings(layer: layer, mixture) { expert, matrix in
            Self.expert(layer, expert, matrix)
          }
      }
    }
  }

  /// The slopes and their powers, which transformers writes beside the weights and reads again.
  public var repeated: [RepeatedTensor] {
    configuration.linearMixers.enumerated().flatMap { layer, mixer -> [RepeatedTensor] in
      guard case .fixed(_, let slopes)? = mixer?.decay else { return [] }
      return Self.tables(layer: layer, slopes: slopes, block: blockSize)
    }
  }

  public func mayIgnore(_ tensor: String) -> Bool {
    // The router of a layer with one expert.
    isRedundant(tensor)
      || configuration.blocks.indices.contains { layer in
        guard case .dense = configuration.blocks[layer].mlp else { return false }
        return tensor == Self.router(layer)
      }
  }

  public var withSelectionBias: Self? {
    var biased = self
    biased.configuration = configuration.withSelectionBiases
    return biased
  }

  public var foreignFields: [String]? {
    Self.residualFields.map(\.name) + [
      "layer_types", "attn_type_list", "block_size", "rotary_dim", "num_local_experts",
      "num_experts_per_tok", "router_aux_loss_coef", "router_jitter_noise",
      "output_router_logits", "attention_bias", "herd_export",
    ]
  }

  /// The tensor of a layer's router.
  public static func router(_ layer: Int) -> String {
    "\(ParameterName.block(layer)).block_sparse_moe.gate.weight"
  }

  private static func expert(_ layer: Int, _ expert: Int, _ matrix: ExpertMatrix) -> String {
    let names: [ExpertMatrix: String] = [.gate: "w1", .up: "w3", .down: "w2"]
    return "\(ParameterName.block(layer)).block_sparse_moe.experts.\(expert)."
      + "\(names[matrix] ?? "").weight"
  }

  private func denseBindings(layer: Int, _ dense: DenseConfiguration) -> [TensorBinding] {
    ExpertMatrix.allCases.map { matrix in
      TensorBinding(
        Self.expert(layer, 0, matrix),
        matrix.shape(width: dense.width, hidden: configuration.hiddenSize),
        parameter: "\(ParameterName.mlp(layer)).\(matrix.rawValue).weight")
    }
  }

  /// Queries, keys and values of a head follow each other, head after head.
  private func linearBindings(layer: Int, _ mixer: LinearMixerConfiguration) -> [TensorBinding] {
    let hidden = configuration.hiddenSize
    let (width, rows) = (mixer.heads * mixer.keyDimension, mixer.keyDimension * hidden)
    let prefix = "\(ParameterName.block(layer)).self_attn"
    return [
      TensorBinding(
        "\(prefix).qkv_proj.weight", [3 * width, hidden],
        parts: (0..<mixer.heads).flatMap { head in
          ["q_proj", "k_proj", "v_proj"].map {
            .init(parameter: "\(prefix).\($0).weight", offset: head * rows, count: rows)
          }
        }),
      TensorBinding("\(prefix).norm.weight", [width], parameter: "\(prefix).o_norm.weight"),
      TensorBinding(
        "\(prefix).output_gate.weight", [width, hidden], parameter: "\(prefix).g_proj.weight"),
      TensorBinding(
        "\(prefix).out_proj.weight", [hidden, width], parameter: "\(prefix).o_proj.weight"),
    ]
  }
}
