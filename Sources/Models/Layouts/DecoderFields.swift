import Formats
import Numerics

/// The fields and tensors that TransNormerLLM and HGRN2 as first released share: norms without
/// weights, a token mixer and a gated channel mixer without biases.
struct DecoderFields {
  let layers: Int
  let hiddenSize: Int
  /// Neurons of a channel mixer.
  let width: Int
  private let vocabularySize: Int
  private let embeddingScale: Double
  private let tiedEmbeddings: Bool
  private let maximumPositions: Int

  /// ε of all their norms, which no field sets.
  static let normEpsilon = 1e-6

  /// Fields that a LLaMA configuration has under other names or has no words for.
  static let names = [
    "decoder_embed_dim", "decoder_layers", "no_scale_embedding", "norm_type", "glu_dim", "bias",
    "init_std", "add_bos_token",
  ]

  /// - Parameter scalesEmbedding: Whether embeddings are multiplied unless a field says otherwise.
  init(_ config: ConfigurationFile, scalesEmbedding: Bool) throws {
    let norm = try config.string("norm_type", default: "simplermsnorm")
    guard norm == "simplermsnorm" else {
      throw ConfigurationError(
        path: config.path, key: "norm_type",
        expected: "simplermsnorm, the only norm whose tensors are known", found: norm)
    }
    guard try !config.bool("bias", default: false) else {
      throw ModelError("\(config.path): bias true is not supported; only false")
    }
    hiddenSize = try config.positive("decoder_embed_dim")
    layers = try config.positive("decoder_layers", maximum: ModelLimits.layers)
    let width = try config.integer("glu_dim")
    self.width = width == -1 ? hiddenSize : try config.positive("glu_dim")
    vocabularySize = try config.positive("vocab_size")
    let isPlain = try config.bool("no_scale_embedding", default: !scalesEmbedding)
    embeddingScale = isPlain ? 1 : Double(hiddenSize).squareRoot()
    // What transformers does with a config that says nothing.
    tiedEmbeddings = try config.bool("tie_word_embeddings", default: true)
    maximumPositions =
      config.contains("max_position_embeddings")
      ? try config.positive("max_position_embeddings", maximum: 1 << 30) : 2048
  }

  /// The model of these mixers.
  func model(
    mixers: [LinearMixerConfiguration], activation: Activation, _ config: ConfigurationFile
  ) throws -> ModelConfiguration {
    for mixer in mixers {
      if let refusal = mixer.refusal { throw ModelError("\(config.path): \(refusal)") }
    }
    let mlp = MLPConfiguration.dense(DenseConfiguration(width: width, activation: activation))
    var model = ModelConfiguration(
      vocabularySize: vocabularySize, hiddenSize: hiddenSize, normEpsilon: Self.normEpsilon,
      tiedEmbeddings: tiedEmbeddings, maximumPositions: maximumPositions,
      blocks: mixers.map { BlockConfiguration(mixer: .linear($0), mlp: mlp) })
    model.embeddingScale = embeddingScale
    model.hasNormWeights = false
    return model
  }
}

extension ModelConfiguration {
  /// All tensors of such a model.
  ///
  /// - Parameters:
  ///   - input: A layer's tensor that is the maps of its rows one after another: its name, and the maps'.
  ///   - mixer: Further tensors of a token mixer.
  func decoderBindings(
    input: (name: String, maps: [String]),
    mixer:
      @escaping (_ prefix: String, _ own: String, LinearMixerConfiguration) -> [TensorBinding] = {
        _, _, _ in []
      }
  ) -> [TensorBinding] {
    bindings(linear: { layer, linear in
      let prefix = "\(ParameterName.block(layer)).token_mixer"
      let own = "\(ParameterName.block(layer)).self_attn"
      let width = linear.heads * linear.keyDimension
      return [
        TensorBinding(
          "\(prefix).\(input.name).weight", [input.maps.count * width, hiddenSize],
          parts: input.maps.map {
            .init(parameter: "\(own).\($0).weight", offset: 0, count: width * hiddenSize)
          })
      ] + mixer(prefix, own, linear) + [
        TensorBinding(
          "\(prefix).out_proj.weight", [hiddenSize, width], parameter: "\(own).o_proj.weight")
      ]
    }) { layer, mlp in
      guard case .dense(let dense) = mlp else { return [] }
      let names: [ExpertMatrix: String] = [.gate: "l1", .up: "l2", .down: "l3"]
      return ExpertMatrix.allCases.map { matrix in
        TensorBinding(
          "\(ParameterName.block(layer)).channel_mixer.\(names[matrix] ?? "").weight",
          matrix.shape(width: dense.width, hidden: hiddenSize),
          parameter: "\(ParameterName.mlp(layer)).\(matrix.rawValue).weight")
      }
    }
  }
}
