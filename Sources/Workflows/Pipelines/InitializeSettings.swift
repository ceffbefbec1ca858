import Formats
import Models
import Numerics

/// A new model with random weights.
public struct InitializeSettings: Sendable, Equatable {
  /// What kind of model it is.
  public var architecture: ModelFamily
  /// Width of the residual stream.
  public var hiddenSize: Int
  /// Blocks.
  public var layers: Int
  /// Query heads.
  public var heads: Int
  /// Key and value heads of softmax attention.
  public var keyHeads: Int
  /// MLP width.
  public var width: Int
  /// Longest sequence.
  public var maximumPositions: Int
  /// Base of the rotary wavelengths.
  public var ropeTheta: Double
  /// Layers of softmax attention in a model of another family, ascending.
  public var softmaxLayers: [Int]
  /// Experts of each MLP; 0 for dense ones.
  public var experts: Int
  /// Experts a token uses.
  public var topK: Int
  /// Whether embeddings have the position encoding TPE.
  public var hasPositionEncoding: Bool
  /// How weights begin.
  public var weights: InitialWeights
  /// A folder whose tokenizer the model has; `nil` for one made from generated text.
  public var tokenizer: String?
  /// The blocks, first to last.
  public var blocks: [BlockConfiguration]

  init(_ section: ConfigurationFile) throws {
    try section.refuseUnknownKeys(known: [
      "architecture", "size", "hidden_size", "layers", "heads", "key_heads", "width",
      "max_positions", "rope_theta", "softmax_layers", "experts", "top_k", "mixer",
      "tpe", "init", "tokenizer",
    ])
    architecture = try section.choice("architecture", default: .llama)
    let size: ModelSize? =
      section.contains("size") ? try section.choice("size") as ModelSize : nil
    let extents = size?.extents(of: architecture)
    func extent(_ key: String, _ standard: Int?, maximum: Int) throws -> Int {
      if let standard, !section.contains(key) { return standard }
      return try section.positive(key, maximum: maximum)
    }
    hiddenSize = try extent("hidden_size", extents?.hiddenSize, maximum: 1 << 16)
    layers = try extent("layers", extents?.layers, maximum: 1 << 10)
    heads = try extent("heads", extents?.heads, maximum: 1 << 12)
    keyHeads = try section.integer("key_heads", default: heads)
    width = try extent("width", extents?.width, maximum: 1 << 18)
    maximumPositions =
      section.contains("max_positions") ? try section.positive("max_positions") : 1024
    ropeTheta = try section.double("rope_theta", default: 10_000)
    softmaxLayers = try section.integers("softmax_layers", default: [])
    experts = try section.integer("experts", default: 0)
    topK = try section.integer("top_k", default: 1)
    hasPositionEncoding = try section.bool("tpe", default: architecture == .cosformer2)
    weights = try section.choice("init", default: .normal)
    tokenizer = try section.optionalString("tokenizer")
    blocks = []
    try check(section)
    let mixer = try section.optionalSection("mixer")
    guard (mixer != nil) == (architecture == .eos) else {
      throw ConfigurationError(
        path: section.path, key: "mixer",
        expected: "settings of linear attention with architecture eos, and nothing else",
        found: "architecture \(architecture.rawValue)")
    }
    blocks = try (0..<layers).map {
      BlockConfiguration(mixer: try self.mixer(layer: $0, mixer), mlp: mlp)
    }
    if let refusal = model(vocabularySize: 1).positionEncodingRefusal {
      throw WorkflowError("\(section.path): \(refusal)")
    }
  }

  private func check(_ section: ConfigurationFile) throws {
    guard ropeTheta > 0 else {
      throw ConfigurationError(
        path: section.path, key: "rope_theta", expected: "a number above 0", found: "\(ropeTheta)")
    }
    guard hiddenSize % heads == 0, (hiddenSize / heads) % 2 == 0, keyHeads > 0,
      heads % keyHeads == 0
    else {
      throw ConfigurationError(
        path: section.path, key: "heads",
        expected: "a divisor of hidden_size with an even quotient, and a multiple of key_heads",
        found: "\(heads) with hidden_size \(hiddenSize), key_heads \(keyHeads)")
    }
    guard softmaxLayers.allSatisfy({ (0..<layers).contains($0) }),
      zip(softmaxLayers, softmaxLayers.dropFirst()).allSatisfy({ $0 < $1 })
    else {
      throw ConfigurationError(
        path: section.path, key: "softmax_layers",
        expected: "ascending layer numbers below \(layers)", found: "\(softmaxLayers)")
    }
    guard experts >= 0, experts == 0 || (1...experts).contains(topK),
      experts == 0 || width % experts == 0
    else {
      throw ConfigurationError(
        path: section.path, key: "experts",
        expected: "a divisor of width, and at least top_k; 0 for dense MLPs",
        found: "\(experts) with width \(width), top_k \(topK)")
    }
  }

  /// Softmax attention where a layer has it.
  var attention: AttentionConfiguration {
    AttentionConfiguration(
      heads: heads, keyHeads: keyHeads, headDimension: hiddenSize / heads,
      rope: RoPEConfiguration(theta: ropeTheta))
  }

  private var mlp: MLPConfiguration {
    guard experts > 0 else {
      return .dense(DenseConfiguration(width: width, activation: architecture.mlpActivation))
    }
    return .mixture(
      MixtureConfiguration(
        experts: experts, topK: topK, expertWidth: width / experts,
        combination: .renormalizedSoftmax(scale: 1)))
  }

  private func mixer(layer: Int, _ section: ConfigurationFile?) throws -> MixerConfiguration {
    if architecture == .llama || softmaxLayers.contains(layer) { return .attention(attention) }
    if let section { return .linear(try linear(layer: layer, section)) }
    guard
      let mixer = architecture.mixer(
        heads: heads, dimension: hiddenSize / heads, layer: layer, layers: layers)
    else { return .attention(attention) }
    if let refusal = mixer.refusal {
      throw WorkflowError("initialize: architecture \(architecture.rawValue): \(refusal)")
    }
    return .linear(mixer)
  }

  /// Settings of the user's own, as the herd format has them; what depends on the model or the layer is
  /// filled in.
  private func linear(layer: Int, _ section: ConfigurationFile) throws -> LinearMixerConfiguration {
    try section.refuseUnknownKeys(known: [
      "heads", "key_heads", "key_dimension", "value_dimension", "expand", "shrink", "decay",
      "query_map", "key_map", "value_map", "query_key_norm", "positions", "scale", "output_norm",
      "window", "norm_epsilon", "update", "query_key_l2_norm", "gate",
    ])
    var object = section.object
    let heads =
      section.contains("heads")
      ? try section.positive("heads", maximum: 1 << 16) : self.heads
    let standards: [(String, JSON)] = [
      ("heads", JSON(heads)), ("key_heads", JSON(heads)),
      ("key_dimension", JSON(hiddenSize / self.heads)),
      ("value_dimension", JSON(hiddenSize / self.heads)), ("scale", 1),
      ("decay", ["kind": "none"]),
    ]
    for (key, value) in standards where object[key] == nil { object[key] = value }
    if var decay = object["decay"]?.object {
      if decay["kind"]?.string == "fixed", decay["slopes"] == nil {
        let family: DecaySlopes = try section.section("decay").choice("family")
        let values = family.values(heads: max(1, heads), layer: layer, layers: layers)
        decay["slopes"] = .array(values.map { JSON($0) })
      }
      if let bound = decay["lower_bound"]?.bool {
        decay["lower_bound"] = bound ? ["row": JSON(layer), "rows": JSON(layers)] : .null
      }
      object["decay"] = .object(decay)
    }
    return try LinearMixerConfiguration(ConfigurationFile(path: section.path, object: object))
  }

  /// The model, with a vocabulary.
  func model(vocabularySize: Int) -> ModelConfiguration {
    var model = ModelConfiguration(
      vocabularySize: vocabularySize, hiddenSize: hiddenSize,
      normEpsilon: architecture.normEpsilon, tiedEmbeddings: true,
      maximumPositions: maximumPositions, blocks: blocks)
    model.embeddingScale = architecture.embeddingScale(hidden: hiddenSize)
    model.hasNormWeights = architecture.hasNormWeights
    model.residual = architecture.residual(layers: layers)
    model.positionEncodingHeads = hasPositionEncoding ? heads : nil
    return model
  }

  /// Whether it is a LLaMA like any other, which other programs read.
  var isLlama: Bool { architecture == .llama && experts == 0 }
}
