import Formats
import Glibc
import Models
import Numerics
import TestSupport
import Testing

/// What hybrids add to softmax attention: norms per head, no positions, an output gate, scores that grow
/// with the length.
@Suite struct SoftmaxAdditionTests {
  private let tokens: [Int32] = [7, 3, 11, 20, 2, 2, 19, 5, 8, 1, 4, 23, 9]

  /// One addition each, and all of them.
  static let all: [AttentionConfiguration] = (0..<5).map { index in
    var attention = AttentionConfiguration(
      heads: 4, keyHeads: 2, headDimension: 4, rope: RoPEConfiguration(theta: 10000))
    attention.normalizesHeads = index == 0 || index == 4
    attention.hasPositions = !(index == 1 || index == 4)
    attention.hasOutputGate = index == 2 || index == 4
    if index >= 3 { attention.logScale = LogLengthScale(base: 5, positions: 64) }
    return attention
  }

  private func model(_ attention: AttentionConfiguration, in context: Context) throws
    -> LanguageModel
  {
    let block = BlockConfiguration(
      mixer: .attention(attention), mlp: .dense(DenseConfiguration(width: 12)))
    let configuration = ModelConfiguration(
      vocabularySize: 24, hiddenSize: 16, normEpsilon: 1e-5, tiedEmbeddings: true,
      maximumPositions: 64, blocks: [block, block])
    let parameters = configuration.parameterShapes.enumerated().map { index, shape in
      Parameter(shape.name, context.randomTensor(shape.shape, .f64, seed: UInt64(index + 5)))
    }
    return try LanguageModel(configuration, parameters: parameters, in: context)
  }

  @Test(arguments: 0..<5, [1, 4])
  func cachedEqualsUncached(index: Int, chunk: Int) throws {
    let context = try Context(device: .cpu(threads: 2))
    let model = try model(Self.all[index], in: context)
    let full = context.readDoubles(model.logits(tokens, in: context))
    let generator = TextGenerator(model, capacity: 2, in: context)
    for start in stride(from: 0, to: tokens.count, by: chunk) {
      let end = min(tokens.count, start + chunk)
      let found = context.readDoubles(generator.read(Array(tokens[start..<end])))
      let expected = full[(end - 1) * 24..<end * 24]
      #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-10 }, "position \(end - 1)")
    }
  }

  @Test(arguments: 0..<5)
  func gradientsAgreeWithCentralDifferences(index: Int) throws {
    let context = try Context(device: .cpu(threads: 2))
    let model = try model(Self.all[index], in: context)
    let ids = context.tensor(tokens, [tokens.count])
    let layout = SequenceLayout(documentLengths: [5, 8], in: context)
    let error = gradientDisagreement(context, model.parameters, directions: 1) { context in
      context.probe(model(ids, layout: layout, in: context).hidden_TD)
    }
    #expect(error < 1e-6)
  }

  /// Softmax attention of one head, written out.
  @Test func oneHeadEqualsTheFormula() throws {
    let context = try Context(device: .cpu(threads: 1))
    var attention = AttentionConfiguration(
      heads: 1, keyHeads: 1, headDimension: 4, rope: RoPEConfiguration(theta: 10000))
    attention.normalizesHeads = true
    attention.hasPositions = false
    attention.hasOutputGate = true
    attention.logScale = LogLengthScale(base: 3, positions: 16)
    let (count, width, dim) = (6, 8, 4)
    var values: [String: [Double]] = [:]
    var parameters: [Parameter] = []
    for (name, shape) in [
      ("q_proj", [dim, width]), ("k_proj", [dim, width]), ("v_proj", [dim, width]),
      ("o_proj", [width, dim]), ("g_proj", [dim, width]), ("q_norm", [dim]), ("k_norm", [dim]),
    ] {
      let tensor = context.randomTensor(shape, .f64, seed: UInt64(parameters.count + 3))
      values[name] = context.readDoubles(tensor)
      parameters.append(Parameter("a.\(name).weight", tensor))
    }
    let mixer = try attention.mixer(prefix: "a", parameters: parameters, in: context)
    let x = context.randomTensor([count, width], .f64, seed: 44)
    let norm = RMSNorm(
      weight_D: context.tensor([Double](repeating: 1, count: width), [width]), epsilon: 0)
    let normed = context.readDoubles(context.rmsNorm(x, norm))
    let found = context.readDoubles(
      mixer(
        x, norm: norm, addedTo: x, layout: SequenceLayout(count: count, in: context), state: nil,
        in: context
      ).output)

    func project(_ name: String, _ row: Int) throws -> [Double] {
      let weight = try #require(values[name])
      return (0..<dim).map { channel in
        (0..<width).reduce(0) { $0 + weight[channel * width + $1] * normed[row * width + $1] }
      }
    }
    func scaled(_ name: String, _ row: [Double]) throws -> [Double] {
      let gain = try #require(values[name])
      let length = (row.reduce(0) { $0 + $1 * $1 } / Double(dim)).squareRoot()
      return zip(row, gain).map { $0 / length * $1 }
    }
    let output = try #require(values["o_proj"])
    let input = context.readDoubles(x)
    for row in 0..<count {
      let query = try scaled("q_norm", project("q_proj", row))
      let growth = log(Double(row) + 3) / log(3)
      let weights = try (0...row).map { other in
        let key = try scaled("k_norm", project("k_proj", other))
        return exp(zip(query, key).reduce(0) { $0 + $1.0 * $1.1 } * growth / 2)
      }
      let total = weights.reduce(0, +)
      var mixed = [Double](repeating: 0, count: dim)
      for other in 0...row {
        for (channel, value) in try project("v_proj", other).enumerated() {
          mixed[channel] += weights[other] / total * value
        }
      }
      let gates = try project("g_proj", row)
      for channel in 0..<dim { mixed[channel] /= 1 + exp(-gates[channel]) }
      for column in 0..<width {
        let expected =
          input[row * width + column]
          + (0..<dim).reduce(0) { $0 + output[column * dim + $1] * mixed[$1] }
        #expect(abs(found[row * width + column] - expected) < 1e-9)
      }
    }
  }

  @Test(arguments: 0..<5)
  func theHerdFormatHoldsThem(index: Int) throws {
    var config = TinyCheckpoint.llamaConfig()
    config["model_type"] = "herd"
    let wanted = Self.all[index]
    let block: JSON = [
      "mixer": wanted.json, "mlp": ["type": "dense", "width": 24, "bias": false],
    ]
    config["herd"] = [
      "format_version": 1, "base_model_type": "llama", "blocks": .array([block, block]),
    ]
    let read = try CheckpointLayouts.layout(
      for: ConfigurationFile(path: "config.json", object: config)
    ).configuration
    guard case .attention(let attention) = read.blocks[1].mixer else {
      Issue.record("no attention")
      return
    }
    #expect(attention == wanted)
  }

  @Test(arguments: [
    ("positions", JSON("alibi"), "rope or none"), ("log_scale", JSON(1.0), "above 1"),
  ])
  func wrongValuesAreNamed(key: String, value: JSON, words: String) throws {
    var config = TinyCheckpoint.llamaConfig()
    config["model_type"] = "herd"
    var mixer: JSONObject = ["type": "attention"]
    mixer[key] = value
    let block: JSON = ["mixer": .object(mixer), "mlp": ["type": "dense", "width": 24]]
    config["herd"] = ["format_version": 1, "blocks": .array([block, block])]
    let error = #expect(throws: ConfigurationError.self) {
      try CheckpointLayouts.layout(for: ConfigurationFile(path: "c.json", object: config))
    }
    #expect(error.map { "\($0)".contains(words) } == true)
  }
}
