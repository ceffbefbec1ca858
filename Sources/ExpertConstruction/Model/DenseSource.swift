import Formats
import Models

/// A dense checkpoint as a conversion sees it: checked facts, no weights read.
public struct DenseSource: Sendable {
  /// The folder's configuration.
  public let configuration: ConfigurationFile
  /// `llama`, `mistral` or `qwen2`.
  public let modelType: String
  /// Hidden size.
  public let hidden: Int
  /// Layers.
  public let layers: Int
  /// Neurons of each MLP.
  public let width: Int
  /// Query heads.
  public let heads: Int
  /// The dimension of a head.
  public let headDimension: Int
  /// The attention projections (`q`, `k`, `v`, `o`) that have biases.
  public let biasedProjections: Set<String>
  /// What mixes the tokens of each layer of a model in herd's own format; empty for others.
  public let mixers: [MixerConfiguration]
  /// All tensors.
  public let tensors: [TensorDescription]
  /// The element type of the MLPs.
  public let elementType: ElementType

  /// Model types whose MLP is a plain SwiGLU.
  static let modelTypes = ["llama", "mistral", "qwen2"]

  /// Checks the configuration against the tensors' names, shapes and types.
  public init(configuration: ConfigurationFile, checkpoint: Checkpoint) throws {
    (modelType, mixers) = try Self.kind(configuration)
    guard Self.modelTypes.contains(modelType) else {
      throw ConstructionError(
        .refused,
        "\(configuration.path): model_type \"\(modelType)\" is not a dense model that can be "
          + "converted; use a llama, mistral or qwen2 checkpoint")
    }
    hidden = try configuration.positive("hidden_size")
    layers = try configuration.positive("num_hidden_layers")
    width = try configuration.positive("intermediate_size")
    heads = try configuration.positive("num_attention_heads")
    headDimension =
      try configuration.optionalInteger("head_dim") ?? (hidden / max(1, heads))
    let activation = try configuration.string("hidden_act", default: "silu")
    guard activation == "silu" || activation == "swish" else {
      throw ConstructionError(
        .refused,
        "\(configuration.path): hidden_act \"\(activation)\" is not SwiGLU's silu; only SwiGLU "
          + "MLPs can be cut into neurons here")
    }
    guard try !configuration.bool("mlp_bias", default: false) else {
      throw ConstructionError(
        .refused,
        "\(configuration.path): mlp_bias is true, and no output format has expert biases; use a "
          + "checkpoint without MLP biases")
    }
    self.configuration = configuration
    tensors = checkpoint.tensors
    biasedProjections = Self.biasedProjections(in: checkpoint)
    var found: ElementType?
    for layer in 0..<layers {
      for projection in Projection.allCases {
        let tensor = try checkpoint.tensor(Self.name(layer, projection))
        let expected = projection == .down ? [hidden, width] : [width, hidden]
        guard tensor.shape == expected else {
          throw ConstructionError(
            .refused,
            "\(tensor.name) has shape \(tensor.shape) where \(configuration.path) says \(expected)")
        }
        guard [.bf16, .f16, .f32].contains(tensor.elementType) else {
          throw ConstructionError(
            .refused,
            "\(tensor.name) is \(tensor.elementType.rawValue); MLP weights must be BF16, F16 or "
              + "F32: use an unquantised checkpoint")
        }
        guard tensor.elementType == found ?? tensor.elementType else {
          throw ConstructionError(
            .refused,
            "\(tensor.name) is \(tensor.elementType.rawValue) where other MLP weights are "
              + "\((found ?? tensor.elementType).rawValue); save the checkpoint in one type")
        }
        found = tensor.elementType
      }
    }
    elementType = found ?? .f32
    let prefix = "model.layers."
    for tensor in tensors where tensor.name.hasPrefix(prefix) {
      let rest = tensor.name.dropFirst(prefix.count)
      guard let layer = Int(rest.prefix { $0 != "." }), layer < layers else {
        throw ConstructionError(
          .refused,
          "\(tensor.name) is beyond the \(layers) layers of \(configuration.path); correct "
            + "num_hidden_layers or the weights")
      }
    }
  }

  /// The dense model type, and the mixers of a model in herd's own format that has no experts.
  private static func kind(_ configuration: ConfigurationFile) throws -> (
    type: String, mixers: [MixerConfiguration]
  ) {
    let type = try configuration.string("model_type")
    guard type == "herd" else { return (type, []) }
    let model = try CheckpointLayouts.layout(for: configuration).configuration
    guard !model.blocks.contains(where: \.isMixture) else {
      throw ConstructionError(
        .refused, "\(configuration.path): the model has experts already; convert a dense model")
    }
    for case .dense(let mlp) in model.blocks.map(\.mlp) where mlp.activation != .silu {
      throw ConstructionError(
        .refused,
        "\(configuration.path): the gate of its MLPs is \(mlp.activation.rawValue), and experts are "
          + "made of SwiGLU (silu); convert a model with silu MLPs")
    }
    let herd = try configuration.section("herd")
    return (try herd.string("base_model_type", default: "llama"), model.blocks.map(\.mixer))
  }

  /// The attention projections that have biases.
  static func biasedProjections(in checkpoint: Checkpoint) -> Set<String> {
    Set(
      ["q", "k", "v", "o"].filter {
        checkpoint["model.layers.0.self_attn.\($0)_proj.bias"] != nil
      })
  }

  /// The name of one MLP matrix in a LLaMA checkpoint.
  static func name(_ layer: Int, _ projection: Projection) -> String {
    "model.layers.\(layer).mlp.\(projection.rawValue)_proj.weight"
  }

  /// The layer and matrix that ``name(_:_:)`` calls `name`; `nil` for tensors outside the MLPs.
  static func place(of name: String) -> (layer: Int, projection: Projection)? {
    let prefix = "model.layers."
    guard name.hasPrefix(prefix) else { return nil }
    let rest = name.dropFirst(prefix.count)
    guard let layer = Int(rest.prefix { $0 != "." }) else { return nil }
    return Projection.allCases.first { name == Self.name(layer, $0) }.map { (layer, $0) }
  }
}
