import Formats
import Glibc
import Models
import Numerics
import TestSupport
import Testing

/// Whole models of the linear families, small.
@Suite struct FamilyModelTests {
  private static let (hidden, heads, layers, vocabulary) = (16, 2, 3, 20)

  static let families: [ModelFamily] = [.tnl, .transnormer, .hgrn2, .cosformer2]

  private static func configuration(_ family: ModelFamily) -> ModelConfiguration {
    let blocks = (0..<layers).map { layer in
      BlockConfiguration(
        mixer: family.mixer(
          heads: heads, dimension: hidden / heads, layer: layer, layers: layers
        ).map { .linear($0) }
          ?? .attention(
            AttentionConfiguration(
              heads: heads, keyHeads: heads, headDimension: hidden / heads,
              rope: RoPEConfiguration(theta: 10000))),
        mlp: .dense(DenseConfiguration(width: 24, activation: family.mlpActivation)))
    }
    var model = ModelConfiguration(
      vocabularySize: vocabulary, hiddenSize: hidden, normEpsilon: 1e-5, tiedEmbeddings: true,
      maximumPositions: 512, blocks: blocks)
    model.embeddingScale = family.embeddingScale(hidden: hidden)
    model.hasNormWeights = family.hasNormWeights
    if family == .cosformer2 { model.positionEncodingHeads = heads }
    return model
  }

  private func model(_ family: ModelFamily, _ dtype: DType = .f64, in context: Context) throws
    -> LanguageModel
  {
    let configuration = Self.configuration(family)
    let parameters = configuration.parameterShapes.enumerated().map { index, shape in
      Parameter(shape.name, context.randomTensor(shape.shape, dtype, seed: UInt64(index + 7)))
    }
    return try LanguageModel(configuration, parameters: parameters, in: context)
  }

  private func tokens(_ count: Int) -> [Int32] {
    (0..<Int32(count)).map { ($0 * 7 + $0 * $0) % Int32(Self.vocabulary) }
  }

  private func scores(_ model: LanguageModel, _ tokens: [Int32], in context: Context)
    -> [[Double]]
  {
    let flat = context.readDoubles(model.logits(tokens, in: context))
    return tokens.indices.map { Array(flat[$0 * Self.vocabulary..<($0 + 1) * Self.vocabulary]) }
  }

  /// Two prefills, longer and shorter than a block, and steps.
  @Test(arguments: families)
  func prefillsAndStepsEqualTheFullPass(family: ModelFamily) throws {
    let context = try Context(device: .cpu(threads: 2), poisoned: true)
    let model = try model(family, in: context)
    let text = tokens(150)
    let full = scores(model, text, in: context)
    let generator = TextGenerator(model, capacity: 1, in: context)
    var at = 0
    for length in [131, 9] + [Int](repeating: 1, count: 10) {
      let found = context.readDoubles(generator.read(Array(text[at..<at + length])))
      at += length
      #expect(relativeError(found, full[at - 1]) < 1e-9, "after \(at)")
    }
  }

  /// A fork checks what was drafted; the accepted part is read by the generator itself.
  @Test(arguments: families)
  func checkingADraftLeavesTheTextAsItWas(family: ModelFamily) throws {
    let context = try Context(device: .cpu(threads: 1))
    let model = try model(family, in: context)
    let text = tokens(40)
    let full = scores(model, text, in: context)
    let generator = TextGenerator(model, in: context)
    _ = generator.read(Array(text[..<20]))
    let fork = generator.fork()
    let draft = Array(text[20..<23]) + [19, 18, 17]
    _ = fork.read(draft)
    #expect(fork.position == 26 && generator.position == 20)
    let accepted = context.readDoubles(generator.read(Array(text[20..<23])))
    #expect(relativeError(accepted, full[22]) < 1e-9)
    let next = context.readDoubles(generator.read([text[23]]))
    #expect(relativeError(next, full[23]) < 1e-9)
  }

  /// However long the text is; positions too are kept for a few tokens ahead only.
  @Test(arguments: families)
  func memoryDoesNotGrow(family: ModelFamily) throws {
    let context = try Context(device: .cpu(threads: 1))
    let generator = TextGenerator(try model(family, .f32, in: context), in: context)
    _ = generator.read(tokens(3))
    let memory = generator.memory
    for _ in 0..<3 { _ = generator.read(tokens(300)) }
    _ = generator.read([4])
    #expect(generator.position == 904 && generator.memory == memory && memory > 0)
  }

  @Test(arguments: families)
  func documentsOfOnePackDoNotSeeEachOther(family: ModelFamily) throws {
    let context = try Context(device: .cpu(threads: 2))
    let model = try model(family, in: context)
    let text = tokens(90)
    func run(_ tokens: [Int32], _ lengths: [Int]) -> Tensor {
      model(
        context.tensor(tokens, [tokens.count]),
        layout: SequenceLayout(documentLengths: lengths, in: context), in: context
      ).hidden_TD
    }
    let packed = run(text, [1, 0, 66, 23])
    let alone = run(Array(text[67...]), [23])
    #expect(
      relativeError(context.readDoubles(packed.slice(67..<90)), context.readDoubles(alone)) < 1e-10)
  }

  /// Every parameter, the table of lower bounds and the angles among them.
  @Test(arguments: families)
  func gradientsAgreeWithCentralDifferences(family: ModelFamily) throws {
    let context = try Context(device: .cpu(threads: 2), poisoned: true)
    let model = try model(family, in: context)
    let layout = SequenceLayout(documentLengths: [6, 4], in: context)
    let ids = context.tensor(tokens(10), [10])
    let error = gradientDisagreement(context, model.parameters, directions: 1, step: 1e-6) {
      $0.probe(model(ids, layout: layout, in: $0).hidden_TD)
    }
    #expect(error < 1e-5)
  }

  /// Gates that are all but shut or all but open in a layer whose lower bound is 0 and in the last.
  @Test(arguments: [-1e4, -90, 90, 1e4] as [Float], [0, 2])
  func gatesAtTheirBoundsGiveNumbers(gate: Float, layer: Int) throws {
    let context = try Context(device: .cpu(threads: 2), poisoned: true)
    let model = try model(.hgrn2, .f32, in: context)
    for parameter in model.parameters {
      parameter.isTrainable = true
      guard parameter.name == "model.layers.\(layer).self_attn.f_proj.weight" else { continue }
      parameter.value = context.tensor(
        [Float](repeating: gate, count: parameter.value.count), parameter.value.shape)
    }
    let ids = context.tensor(tokens(140), [140])
    var numbers: [Double] = []
    context.recording {
      let hidden = model(
        ids, layout: SequenceLayout(documentLengths: [140], in: context), in: context
      ).hidden_TD
      numbers = context.readDoubles(hidden)
      return context.probe(hidden)
    }
    numbers += model.parameters.flatMap { $0.gradient.map(context.readDoubles) ?? [.nan] }
    let areFinite = numbers.allSatisfy(\.isFinite)
    #expect(areFinite)
  }
}

extension FamilyModelTests {
  private func config(_ model: ModelConfiguration) -> ConfigurationFile {
    let blocks = model.blocks.map { block -> JSON in
      ["mixer": block.mixer.json, "mlp": block.mlp.json]
    }
    var object: JSONObject = [
      "model_type": "herd", "hidden_size": JSON(Self.hidden),
      "num_hidden_layers": JSON(Self.layers), "vocab_size": JSON(Self.vocabulary),
      "num_attention_heads": JSON(Self.heads), "num_key_value_heads": JSON(Self.heads),
      "head_dim": 8, "intermediate_size": 24, "rms_norm_eps": .number(JSONNumber(1e-5)),
      "rope_theta": 10000, "max_position_embeddings": 512, "tie_word_embeddings": true,
      "embedding_scale": JSON(model.embeddingScale), "norm_weights": JSON(model.hasNormWeights),
      "herd": ["format_version": 1, "base_model_type": "llama", "blocks": .array(blocks)],
    ]
    if let heads = model.positionEncodingHeads { object["tpe"] = ["heads": JSON(heads)] }
    return ConfigurationFile(path: "config.json", object: object)
  }

  /// A model written and read again, its embeddings also row by row.
  @Test(arguments: families)
  func theHerdFormatSaysAllOfIt(family: ModelFamily) throws {
    let context = try Context(device: .cpu(threads: 1))
    let folder = TemporaryFolder()
    let (model, config) = (try model(family, .f32, in: context), config(Self.configuration(family)))
    let layout = try CheckpointLayouts.layout(for: config)
    #expect(layout.configuration == Self.configuration(family))
    try config.write(to: "\(folder.path)/config.json")
    try ModelWriter(layout: layout).write(model, to: folder.path, elementType: .f32, in: context)
    let loader = try ModelLoader(layout: layout, checkpoint: Checkpoint(folder: folder.path))
    let text = tokens(30)
    let loaded = try loader.model(in: context)
    #expect(
      context.read(loaded.logits(text, in: context))
        == context.read(model.logits(text, in: context)))
    let documents = SequenceLayout(documentLengths: [11, 19], in: context)
    let embedded = model.embedded(
      context.tensor(text, [30]), layout: documents, in: context)
    let rows = try loader.embedding(of: text, layout: documents, in: context)
    #expect(context.read(rows) == context.read(embedded))
  }

  @Test func aPositionEncodingThatDoesNotFitIsNamed() throws {
    var config = config(Self.configuration(.cosformer2))
    for (value, words) in [
      (["heads": 3], "hidden size of 16"), (["heads": "x"], "heads"), ([:], "heads"),
    ] as [(JSON, String)] {
      config["tpe"] = value
      let error = #expect(throws: (any Error).self) { try CheckpointLayouts.layout(for: config) }
      let text = error.map { "\($0)" } ?? ""
      #expect(text.contains(words) && text.contains("config.json"), "\(text)")
    }
  }

  /// TPE token by token: values are the embeddings, queries and keys the same for all tokens.
  @Test func positionEncodingEqualsItsFormula() throws {
    let context = try Context(device: .cpu(threads: 2))
    let model = try model(.cosformer2, in: context)
    func values(_ name: String) throws -> [Double] {
      let parameter = model.parameters.first { $0.name == name }
      return try context.readDoubles(#require(parameter).value)
    }
    let (query, key) = (try values("model.tpe.shrink"), try values("model.tpe.expand"))
    let (decay, weight) = (try values("model.tpe.decay"), try values("model.tpe.o_norm.weight"))
    let output = try values("model.tpe.o_proj.weight")
    let table = try values("model.embed_tokens.weight")
    let (text, d, hidden) = (tokens(70), Self.hidden / Self.heads, Self.hidden)
    var state = [Double](repeating: 0, count: hidden * d)
    let expected = text.flatMap { token -> [Double] in
      let x = Array(table[Int(token) * hidden..<(Int(token) + 1) * hidden])
      var mixed = [Double](repeating: 0, count: hidden)
      for row in 0..<hidden {
        let head = row / d
        for e in 0..<d {
          let kept = state[row * d + e] / (1 + exp(-decay[head]))
          state[row * d + e] = kept + key[row] * x[head * d + e]
          mixed[head * d + e] += query[row] * state[row * d + e]
        }
      }
      for head in 0..<Self.heads {
        let own = mixed[head * d..<(head + 1) * d]
        let size = (own.reduce(0) { $0 + $1 * $1 } / Double(d) + 1e-5).squareRoot()
        for e in 0..<d { mixed[head * d + e] *= weight[e] / size }
      }
      return (0..<hidden).map { row in
        x[row] + (0..<hidden).reduce(0) { $0 + output[row * hidden + $1] * mixed[$1] }
      }
    }
    let found = model.embedded(
      context.tensor(text, [70]), layout: SequenceLayout(count: 70, in: context), in: context)
    #expect(relativeError(context.readDoubles(found), expected) < 1e-12)
  }

  @Test(arguments: [0, 3, -1])
  func headsOfThePositionEncodingDivideTheWidth(heads: Int) {
    var configuration = Self.configuration(.cosformer2)
    configuration.positionEncodingHeads = heads
    let refusal = configuration.positionEncodingRefusal
    #expect(refusal?.contains("hidden size of 16") == true)
    var softmax = Self.configuration(.llama)
    softmax.positionEncodingHeads = 2
    #expect(softmax.positionEncodingRefusal?.contains("all layers are softmax") == true)
  }
}
