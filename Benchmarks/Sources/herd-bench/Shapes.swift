import Models
import Numerics

/// Models with random weights, for timing only.
enum Shapes {
  /// The training benchmark: 29.4 M parameters, dense or split into 8 experts of 192, top-2.
  static func training(mixture: Bool) -> ModelConfiguration {
    llama(
      vocabulary: 8192, hidden: 512, layers: 8, heads: 8, keyHeads: 8, headDimension: 64,
      width: 1536, mixture: mixture)
  }

  /// The training benchmark's shape with TNL's linear attention in every layer and narrower MLPs, 28.8 M
  /// parameters.
  static func lightning() -> ModelConfiguration {
    var configuration = training(mixture: false)
    let layers = configuration.blocks.count
    configuration.blocks = (0..<layers).map { layer in
      BlockConfiguration(
        mixer: .linear(.tnl(heads: 8, dimension: 64, layer: layer, layers: layers)),
        mlp: .dense(DenseConfiguration(width: 1280, activation: .none)))
    }
    return configuration
  }

  /// The decoding benchmark: Llama-3.2-1B's shape, 1.24 B parameters, dense or 8 × 1024, top-2.
  static func decoding(mixture: Bool) -> ModelConfiguration {
    llama(
      vocabulary: 128_256, hidden: 2048, layers: 16, heads: 32, keyHeads: 8, headDimension: 64,
      width: 8192, mixture: mixture)
  }

  /// 32.5 M parameters: 16 query and 8 key heads of 32, MLP 1792, dense or 4 shared + 28 top-4.
  static func dense32M(mixture: Bool) -> ModelConfiguration {
    llama(
      vocabulary: 8192, hidden: 512, layers: 8, heads: 16, keyHeads: 8, headDimension: 32,
      width: 1792, mixture: mixture, experts: 28, topK: 4, shared: 4)
  }

  /// 1.107 B parameters, dense or 8 × 1024, top-2.
  static func oneBillion(mixture: Bool) -> ModelConfiguration {
    llama(
      vocabulary: 32768, hidden: 2048, layers: 16, heads: 32, keyHeads: 8, headDimension: 64,
      width: 8192, mixture: mixture)
  }

  /// LLaMA-3-8B's shape, dense or 8 × 1792, top-2. Decoding reads the head only, so it is timed with
  /// tied embeddings; training holds both tables, 8.03 B parameters.
  static func eightBillion(mixture: Bool, tied: Bool = true) -> ModelConfiguration {
    llama(
      vocabulary: 128_256, hidden: 4096, layers: 32, heads: 32, keyHeads: 8, headDimension: 128,
      width: 14336, mixture: mixture, tied: tied)
  }

  private static func llama(
    vocabulary: Int, hidden: Int, layers: Int, heads: Int, keyHeads: Int, headDimension: Int,
    width: Int, mixture: Bool, experts: Int = 8, topK: Int = 2, shared: Int = 0, tied: Bool = true
  ) -> ModelConfiguration {
    let attention = AttentionConfiguration(
      heads: heads, keyHeads: keyHeads, headDimension: headDimension,
      rope: RoPEConfiguration(theta: 10_000))
    let unit = width / (experts + shared)
    let mlp: MLPConfiguration =
      mixture
      ? .mixture(
        MixtureConfiguration(
          experts: experts, topK: topK, expertWidth: unit, sharedWidth: shared * unit,
          combination: .renormalizedSoftmax(scale: 1)))
      : .dense(DenseConfiguration(width: width))
    return ModelConfiguration(
      vocabularySize: vocabulary, hiddenSize: hidden, normEpsilon: 1e-5, tiedEmbeddings: tied,
      maximumPositions: 4096,
      blocks: (0..<layers).map { _ in
        BlockConfiguration(mixer: .attention(attention), mlp: mlp)
      })
  }

  /// The model with seeded weights of type `dtype`.
  static func model(_ configuration: ModelConfiguration, _ dtype: DType, in context: Context)
    throws -> LanguageModel
  {
    var random = RandomStream(seed: 1)
    let parameters = configuration.parameterShapes.map { shape in
      let count = shape.shape.reduce(1, *)
      // A repeated block of values is as good for timing as fresh ones, and quick to make.
      let block = random.uniform(min(count, 4096), in: -0.04...0.04)
      let isNorm = shape.name.hasSuffix("norm.weight")
      let values = isNorm ? [Float](repeating: 1, count: block.count) : block
      let type = shape.staysFull ? dtype.statistic : dtype
      let tensor = context.empty(shape.shape, type)
      fill(tensor, with: values, in: context)
      return Parameter(shape.name, tensor)
    }
    return try LanguageModel(configuration, parameters: parameters, in: context)
  }

  /// Repeats values over a tensor: from the host once, then doubling on the device.
  private static func fill(_ tensor: Tensor, with values: [Float], in context: Context) {
    let flat = tensor.reshaped([tensor.count])
    var done = min(values.count, tensor.count)
    context.copy(
      context.tensor(Array(values[..<done]), [done], tensor.dtype), into: flat.slice(0..<done))
    while done < tensor.count {
      let next = min(done, tensor.count - done)
      context.copy(flat.slice(0..<next), into: flat.slice(done..<done + next))
      done += next
    }
  }
}
