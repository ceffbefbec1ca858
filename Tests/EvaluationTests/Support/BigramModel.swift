import Glibc
import Models
import Numerics

/// A language model whose prediction depends on the present token alone, and is known: attention and
/// MLP add nothing, so the head sees the token's own embedding.
struct BigramModel {
  /// `ln p(next | present)`, `[present][next]`.
  let logProbabilities: [[Double]]

  /// The model of given scores, which need not be normalised.
  init(scores: [[Double]]) {
    logProbabilities = scores.map { row in
      let sum = log(row.reduce(0) { $0 + exp($1) })
      return row.map { $0 - sum }
    }
  }

  /// A model that follows `next` with near certainty.
  init(vocabulary: Int, next: [Int: Int]) {
    self.init(
      scores: (0..<vocabulary).map { present in
        (0..<vocabulary).map { next[present] == $0 ? 20.0 : 0.0 }
      })
  }

  /// The model over a one-hot embedding of width V.
  func model(positions: Int = 64, in context: Context) throws -> LanguageModel {
    let size = logProbabilities.count
    let configuration = ModelConfiguration(
      vocabularySize: size, hiddenSize: size, normEpsilon: 1e-12, tiedEmbeddings: false,
      maximumPositions: positions,
      blocks: [
        BlockConfiguration(
          mixer: .attention(
            AttentionConfiguration(
              heads: 1, keyHeads: 1, headDimension: 2, rope: RoPEConfiguration(theta: 10000))),
          mlp: .dense(DenseConfiguration(width: 2)))
      ])
    let parameters = configuration.parameterShapes.map { shape in
      Parameter(
        shape.name, context.tensor(values(shape, size), shape.shape, .f32))
    }
    return try LanguageModel(configuration, parameters: parameters, in: context)
  }

  private func values(_ shape: ParameterShape, _ size: Int) -> [Double] {
    let count = shape.shape.reduce(1, *)
    var values = [Double](repeating: 0, count: count)
    switch shape.name {
    case ParameterName.embedding:
      for token in 0..<size { values[token * size + token] = 1 }
    case ParameterName.head:
      // RMSNorm turns the one-hot row into √V at its place.
      let gain = Double(size).squareRoot()
      for next in 0..<size {
        for present in 0..<size {
          values[next * size + present] = logProbabilities[present][next] / gain
        }
      }
    default:
      if shape.name.hasSuffix("norm.weight") { values = values.map { _ in 1 } }
    }
    return values
  }
}
