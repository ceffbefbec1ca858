import Data
import Models
import Numerics
import TestSupport

/// A small model with seeded random weights.
enum RandomModel {
  static let vocabulary = 24

  /// A LLaMA of two layers; with `mixture`, its MLPs are 4 experts, top-2.
  static func make(mixture: Bool = false, seed: UInt64 = 7, in context: Context) throws
    -> LanguageModel
  {
    let mlp: MLPConfiguration =
      mixture
      ? .mixture(
        MixtureConfiguration(
          experts: 4, topK: 2, expertWidth: 6, combination: .renormalizedSoftmax(scale: 1)))
      : .dense(DenseConfiguration(width: 24))
    let block = BlockConfiguration(
      mixer: .attention(
        AttentionConfiguration(
          heads: 4, keyHeads: 2, headDimension: 4, rope: RoPEConfiguration(theta: 10000))),
      mlp: mlp)
    let configuration = ModelConfiguration(
      vocabularySize: vocabulary, hiddenSize: 16, normEpsilon: 1e-5, tiedEmbeddings: true,
      maximumPositions: 64, blocks: [block, block])
    var parameters: [Parameter] = []
    for (index, shape) in configuration.parameterShapes.enumerated() {
      var random = RandomStream(seed: seed, purpose: UInt64(index))
      let isNorm = shape.name.hasSuffix("norm.weight")
      let values = random.uniform(
        shape.shape.reduce(1, *), in: isNorm ? 0.8...1.2 : -0.5...0.5)
      parameters.append(Parameter(shape.name, context.tensor(values, shape.shape)))
    }
    return try LanguageModel(configuration, parameters: parameters, in: context)
  }

  /// Random ids, a third of which are not scored.
  static func stream(_ count: Int, seed: UInt64 = 3) -> TokenStream {
    var random = SeededGenerator(seed: seed)
    var stream = TokenStream(domain: "random")
    stream.append(
      ids: (0..<count).map { _ in Int32.random(in: 0..<Int32(vocabulary), using: &random) },
      lossMask: (0..<count).map { $0 % 3 == 1 ? 0 : 1 })
    return stream
  }
}
