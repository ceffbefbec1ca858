import Formats
import Models
import Numerics
import TestSupport
import Testing

/// Residual connections that start behind the norms.
@Suite struct NormalizedResidualTests {
  private static let (width, tokens) = (8, 9)

  private static let residual: NormalizedResidual = {
    var residual = NormalizedResidual()
    residual.attention = .init(alpha: 1.5, beta: 0.75)
    residual.linear = .init(alpha: 0.5, beta: 1)
    residual.mlp = .init(alpha: -2, beta: 0)
    return residual
  }()

  private func model(
    _ residual: NormalizedResidual?, dtype: DType = .f64, epsilon: Double = 1e-5,
    in context: Context
  ) throws -> LanguageModel {
    let attention = AttentionConfiguration(
      heads: 2, keyHeads: 1, headDimension: 4, rope: RoPEConfiguration(theta: 10000))
    let experts = MixtureConfiguration(
      experts: 3, topK: 2, expertWidth: 5, combination: .renormalizedSoftmax(scale: 1))
    var configuration = ModelConfiguration(
      vocabularySize: 24, hiddenSize: Self.width, normEpsilon: epsilon, tiedEmbeddings: true,
      maximumPositions: 64,
      blocks: [
        BlockConfiguration(mixer: .attention(attention), mlp: .mixture(experts)),
        BlockConfiguration(
          mixer: .linear(.minimax(heads: 2, dimension: 4, layer: 1, layers: 2)),
          mlp: .dense(DenseConfiguration(width: 12))),
      ])
    configuration.residual = residual
    let parameters = configuration.parameterShapes.enumerated().map { index, shape in
      Parameter(shape.name, context.randomTensor(shape.shape, dtype, seed: UInt64(index + 5)))
    }
    return try LanguageModel(configuration, parameters: parameters, in: context)
  }

  /// `alpha · n + beta · f(n)`, with `f` taken from the same block without.
  @Test func halvesAreTheirFormula() throws {
    let context = try Context(device: .cpu(threads: 1))
    let (own, plain) = try (model(Self.residual, in: context), model(nil, in: context))
    let x = context.randomTensor([Self.tokens, Self.width], .f64, seed: 3)
    let layout = SequenceLayout(documentLengths: [4, 5], in: context)
    let factors: [[NormalizedResidual.Factors]] = [
      [Self.residual.attention, Self.residual.mlp], [Self.residual.linear, Self.residual.mlp],
    ]
    for (layer, block) in own.blocks.enumerated() {
      for (index, part) in [BlockPart.attention, .mlp].enumerated() {
        let name = part == .attention ? "input_layernorm" : "post_attention_layernorm"
        let gain = try #require(
          own.parameters.first { $0.name == "model.layers.\(layer).\(name).weight" })
        let normed = context.readDoubles(
          context.rmsNorm(x, weight: gain.value, epsilon: 1e-5))
        let added = zip(
          context.readDoubles(
            plain.blocks[layer].half(part, x, layout: layout, in: context).output),
          context.readDoubles(x)
        ).map { $0 - $1 }
        let (alpha, beta) = (factors[layer][index].alpha, factors[layer][index].beta)
        let found = context.readDoubles(block.half(part, x, layout: layout, in: context).output)
        #expect(relativeError(found, zip(normed, added).map { alpha * $0 + beta * $1 }) < 1e-12)
        let carried = context.readDoubles(block.carried(part, x, in: context))
        #expect(relativeError(carried, normed.map { alpha * $0 }) < 1e-14)
      }
    }
  }

  /// A half keeps nothing of the size of its rows, so neither may its rounding. Below rows 2¹⁶ times
  /// as large `f32` has the eight bits that `bf16` has below those of the usual size: a part added to
  /// them and taken out again would be left with so many, and its gradient with none.
  @Test func aPartIsAsExactInLargeRows() throws {
    let context = try Context(device: .cpu(threads: 1))
    var residual = Self.residual
    residual.mlp.beta = 0.5
    let model = try model(residual, dtype: .f32, epsilon: 0, in: context)
    let exact = try self.model(residual, epsilon: 0, in: context)
    let layout = SequenceLayout(documentLengths: [4, 5], in: context)
    let values = context.read(context.randomTensor([Self.tokens, Self.width], .f32, seed: 3))
    let pull = context.read(context.randomTensor([Self.tokens, Self.width], .f32, seed: 4))
    func passed(_ model: LanguageModel, _ layer: Int, _ part: BlockPart, scale: Float) -> (
      output: [Double], gradient: [Double]
    ) {
      let type = model.embedding.value.dtype
      let x = Parameter(
        "x", context.tensor(values.map { $0 * scale }, [Self.tokens, Self.width], type),
        isTrainable: true)
      let output = context.recording(gradient: context.tensor(pull, x.value.shape, type)) {
        model.blocks[layer].half(part, x.tensor, layout: layout, in: context).output
      }
      let gradient = x.gradient.map(context.readDoubles) ?? []
      return (context.readDoubles(output), gradient.map { $0 * Double(scale) })
    }
    for layer in model.blocks.indices {
      for part in [BlockPart.attention, .mlp] {
        let (usual, large, expected) = (
          passed(model, layer, part, scale: 1), passed(model, layer, part, scale: 65536),
          passed(exact, layer, part, scale: 1)
        )
        #expect(large.output == usual.output && large.gradient == usual.gradient)
        #expect(relativeError(large.output, expected.output) < 1e-6)
        #expect(relativeError(large.gradient, expected.gradient) < 1e-5)
      }
    }
  }

  @Test(arguments: [false, true])
  func gradientsAgreeWithCentralDifferences(checkpointing: Bool) throws {
    let context = try Context(device: .cpu(threads: 1))
    var residual = Self.residual
    residual.mlp.beta = 0.5
    let model = try model(residual, in: context)
    let ids = context.tensor([7, 3, 11, 20, 2, 2, 19, 5, 8] as [Int32], [Self.tokens])
    let layout = SequenceLayout(documentLengths: [4, 5], in: context)
    let error = gradientDisagreement(context, model.parameters, directions: 1) { context in
      context.probe(
        model(ids, layout: layout, checkpointing: checkpointing, in: context).hidden_TD)
    }
    #expect(error < 1e-6)
  }

  @Test func herdsConfigurationHoldsIt() throws {
    var config = TinyCheckpoint.llamaConfig()
    config["model_type"] = "herd"
    let block: JSON = ["mixer": ["type": "attention"], "mlp": ["type": "dense", "width": 24]]
    config["herd"] = ["format_version": 1, "blocks": [block, block]]
    func residual() throws -> NormalizedResidual? {
      try HerdLayout(ConfigurationFile(path: "config.json", object: config)).configuration.residual
    }
    #expect(try residual() == nil)
    config["normalized_residual"] = Self.residual.json
    #expect(try residual() == Self.residual)
    config["normalized_residual"] = ["attention": ["alpha": 1, "beta": 1]]
    #expect(throws: ConfigurationError.self) { try residual() }
    config["normalized_residual"] = ["attentoin": 1]
    #expect(throws: ConfigurationError.self) { try residual() }
  }
}
