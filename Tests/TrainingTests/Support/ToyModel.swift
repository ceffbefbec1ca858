import Models
import Numerics

/// Language models of a few thousand parameters.
enum ToyModel {
  static let vocabulary = 16
  static let hidden = 16

  /// Two blocks over a vocabulary of 16; dense, or with the given mixtures.
  static func configuration(
    _ mixture: MixtureConfiguration? = nil, attention mixer: AttentionMixtureConfiguration? = nil
  ) -> ModelConfiguration {
    let attention = AttentionConfiguration(
      heads: 2, keyHeads: 1, headDimension: 8, rope: RoPEConfiguration(theta: 10000),
      mixture: mixer)
    let mlp: MLPConfiguration =
      mixture.map { .mixture($0) } ?? .dense(DenseConfiguration(width: 24))
    return ModelConfiguration(
      vocabularySize: vocabulary, hiddenSize: hidden, normEpsilon: 1e-5, tiedEmbeddings: false,
      maximumPositions: 64,
      blocks: [
        BlockConfiguration(mixer: .attention(attention), mlp: mlp),
        BlockConfiguration(mixer: .attention(attention), mlp: mlp),
      ])
  }

  /// The first block with a linear mixer whose rates and steps are learned.
  static var selective: ModelConfiguration {
    var configuration = configuration()
    configuration.blocks[0].mixer = .linear(
      LinearMixerConfiguration(heads: 2, keyDimension: 4, decay: .selective))
    return configuration
  }

  /// One of two heads chosen per token.
  static let heads = AttentionMixtureConfiguration(
    kind: .heads, experts: 2, topK: 1, combination: .softmax(scale: 2), routerBias: true)

  /// Four experts of width 8 with two chosen.
  static func mixture(selectionBias: Bool = false) -> MixtureConfiguration {
    MixtureConfiguration(
      experts: 4, topK: 2, expertWidth: 8, combination: .renormalizedSoftmax(scale: 2),
      selectionBias: selectionBias)
  }

  /// Seeded weights: equal seeds give equal models.
  static func make(
    _ mixture: MixtureConfiguration? = nil, attention: AttentionMixtureConfiguration? = nil,
    seed: UInt64 = 1, dtype: DType = .f32, in context: Context
  ) throws -> LanguageModel {
    try make(
      configuration(mixture, attention: attention), seed: seed, dtype: dtype, in: context)
  }

  /// Seeded weights of any model.
  static func make(
    _ configuration: ModelConfiguration, seed: UInt64 = 1, dtype: DType = .f32,
    in context: Context
  ) throws -> LanguageModel {
    let parameters = configuration.parameterShapes.enumerated().map { index, shape in
      var random = RandomStream(seed: seed, purpose: UInt64(index))
      let count = shape.shape.reduce(1, *)
      let values =
        shape.name.hasSuffix("norm.weight")
        ? [Float](repeating: 1, count: count)
        : shape.name.hasSuffix("selection_bias")
          ? [Float](repeating: 0, count: count) : random.uniform(count, in: -0.3...0.3)
      return Parameter(
        shape.name,
        context.tensor(values, shape.shape, shape.staysFull ? dtype.statistic : dtype))
    }
    return try LanguageModel(configuration, parameters: parameters, in: context)
  }
}

/// The values of every parameter, bit for bit.
func weights(_ model: LanguageModel, in context: Context) -> [String: [Float]] {
  Dictionary(uniqueKeysWithValues: model.parameters.map { ($0.name, context.read($0.value)) })
}

/// One context per test: tests run side by side, and two threads are enough for toys.
func makeContext() throws -> Context { try Context(device: .cpu(threads: 2)) }
