import Formats
import Models
import Numerics
import TestSupport
import Testing

/// A small linear mixer with random parameters.
struct LinearExample: CustomTestStringConvertible, Sendable {
  let name: String
  let configuration: LinearMixerConfiguration
  static let hidden = 12

  var testDescription: String { name }

  /// The layer of HALO (arXiv 2601.22156): rope, QK norm, constant slopes, gated full-width norm.
  static let halo = LinearExample(
    name: "halo",
    configuration: LinearMixerConfiguration(
      heads: 4, keyHeads: 2, keyDimension: 6, decay: slopes(4), queryKeyNorm: true,
      positions: .rope(RoPEConfiguration(theta: 10000)), scale: 1 / 6.0.squareRoot(),
      outputNorm: .full, gate: .init(activation: .sigmoid)))

  /// The same with softmax over three tokens beside.
  static let window: LinearExample = {
    var configuration = halo.configuration
    configuration.window = 3
    return LinearExample(name: "halo with a window", configuration: configuration)
  }()

  static let all: [LinearExample] =
    [
      halo,
      LinearExample(
        name: "bare", configuration: LinearMixerConfiguration(heads: 2, keyDimension: 5)),
      LinearExample(
        name: "lrpe and an ungated norm without weight",
        configuration: LinearMixerConfiguration(
          heads: 3, keyDimension: 4, valueDimension: 5, decay: slopes(3),
          queryMap: .elementwise(.silu), keyMap: .elementwise(.silu), positions: .lrpe,
          outputNorm: .unweighted, gate: .init(activation: .none))),
      LinearExample(
        name: "tied gate with lower bound",
        configuration: LinearMixerConfiguration(
          heads: 2, keyDimension: 6, expand: .complement,
          decay: .channelGate(lowerBound: .init(row: 1, rows: 3), temperature: 1),
          queryMap: .elementwise(.silu), outputNorm: .full)),
      LinearExample(
        name: "low-rank gate before a norm per head, lrpe-cos",
        configuration: LinearMixerConfiguration(
          heads: 4, keyHeads: 2, keyDimension: 4, valueDimension: 3,
          queryMap: .elementwise(.silu), keyMap: .softmax, valueMap: .elementwise(.onePlusELU),
          positions: .lrpeCosine(base: 10000), outputNorm: .perHead,
          gate: .init(rank: 3, activation: .sigmoid, beforeNorm: true))),
      LinearExample(
        name: "learned states and a decay per channel",
        configuration: LinearMixerConfiguration(
          heads: 2, keyDimension: 4, expand: .learned, shrink: .learned,
          decay: .learned(perChannel: true, temperature: 16), scale: 0.5)),
      LinearExample(
        name: "learned decay per head",
        configuration: LinearMixerConfiguration(
          heads: 3, keyDimension: 4, decay: .learned(perChannel: false, temperature: 2),
          keyMap: .elementwise(.squaredReLU))),
      LinearExample(
        name: "gate per head, learned shrink",
        configuration: LinearMixerConfiguration(
          heads: 3, keyDimension: 4, shrink: .learned, decay: .headGate(temperature: 4),
          keyMap: .elementwise(.sigmoid))),
      LinearExample(
        name: "gates of key and value channels",
        configuration: LinearMixerConfiguration(
          heads: 4, keyHeads: 2, keyDimension: 4, valueDimension: 3,
          decay: .outer(temperature: 2), outputNorm: .full)),
      LinearExample(
        name: "gate per channel, key groups",
        configuration: LinearMixerConfiguration(
          heads: 4, keyHeads: 2, keyDimension: 4,
          decay: .channelGate(lowerBound: nil, temperature: 16), keyMap: .elementwise(.elu))),
      LinearExample(
        name: "learned decay per key and value channel",
        configuration: LinearMixerConfiguration(
          heads: 2, keyDimension: 4, valueDimension: 3, decay: .elementwise(temperature: 4),
          scale: 0.5, outputNorm: .full)),
      LinearExample(
        name: "selective decay, key groups and a gate",
        configuration: LinearMixerConfiguration(
          heads: 4, keyHeads: 2, keyDimension: 4, valueDimension: 3, decay: .selective,
          valueMap: .elementwise(.silu), gate: .init(activation: .silu))),
      LinearExample(
        name: "delta rule",
        configuration: LinearMixerConfiguration(
          heads: 4, keyHeads: 2, keyDimension: 4, valueDimension: 3, update: .delta,
          queryMap: .elementwise(.silu), keyMap: .elementwise(.silu), queryKeyL2Norm: true,
          outputNorm: .perHead)),
      LinearExample(
        name: "delta rule with a gate per head, rope and a window",
        configuration: LinearMixerConfiguration(
          heads: 2, keyDimension: 4, decay: .headGate(temperature: 4), update: .delta,
          queryKeyL2Norm: true, positions: .rope(RoPEConfiguration(theta: 10000)), scale: 0.5,
          gate: .init(activation: .silu), window: 3)),
      LinearExample(
        name: "delta rule with gates per channel, keys their complement",
        configuration: LinearMixerConfiguration(
          heads: 2, keyDimension: 5, expand: .complement,
          decay: .channelGate(lowerBound: .init(row: 1, rows: 3), temperature: 2), update: .delta,
          queryKeyL2Norm: true)),
      LinearExample(
        name: "delta rule with fixed slopes, lrpe and softmax keys",
        configuration: LinearMixerConfiguration(
          heads: 3, keyDimension: 4, decay: slopes(3), update: .delta, keyMap: .softmax,
          positions: .lrpe)),
      window,
    ]

  private static func slopes(_ heads: Int) -> LinearMixerConfiguration.Decay {
    .fixed(
      family: "alibi", slopes: DecaySlopes.alibi.values(heads: heads, layer: 0, layers: 1))
  }

  /// Two such blocks, a softmax one between them.
  func model(in context: Context, dtype: DType, seed: UInt64 = 1) throws -> LanguageModel {
    let configuration = modelConfiguration
    let parameters = configuration.parameterShapes.enumerated().map { index, shape in
      Parameter(
        shape.name, context.randomTensor(shape.shape, dtype, seed: seed + UInt64(index)))
    }
    return try LanguageModel(configuration, parameters: parameters, in: context)
  }

  var modelConfiguration: ModelConfiguration {
    let mlp = MLPConfiguration.dense(DenseConfiguration(width: 10))
    let linear = BlockConfiguration(mixer: .linear(configuration), mlp: mlp)
    let softmax = BlockConfiguration(
      mixer: .attention(
        AttentionConfiguration(
          heads: 2, keyHeads: 1, headDimension: 6, rope: RoPEConfiguration(theta: 10000))),
      mlp: mlp)
    return ModelConfiguration(
      vocabularySize: 20, hiddenSize: Self.hidden, normEpsilon: 1e-5, tiedEmbeddings: false,
      maximumPositions: 64, blocks: [linear, softmax, linear])
  }
}

@Suite struct LinearMixerTests {
  private static let tokens: [Int32] = [7, 3, 11, 19, 2, 2, 0, 5, 8, 1, 4, 9]

  @Test(arguments: LinearExample.all)
  func prefillAndDecodeEqualTheFullPass(example: LinearExample) throws {
    let context = try Context(device: .cpu(threads: 2), poisoned: true)
    let model = try example.model(in: context, dtype: .f64)
    let full = context.readDoubles(
      context.linear(
        model(
          context.tensor(Self.tokens, [12]),
          layout: SequenceLayout(documentLengths: [12], in: context), in: context
        ).hidden_TD, weight: model.head.tensor))
    let generator = TextGenerator(model, capacity: 2, in: context)
    _ = generator.read(Array(Self.tokens[..<3]))
    _ = generator.read(Array(Self.tokens[3..<7]))
    let fork = generator.fork()
    for position in 7..<12 {
      let scores = context.readDoubles(generator.read([Self.tokens[position]]))
      let expected = Array(full[position * 20..<(position + 1) * 20])
      #expect(relativeError(scores, expected) < 1e-10, "position \(position)")
    }
    let expected = Array(full[7 * 20..<8 * 20])
    #expect(
      relativeError(context.readDoubles(fork.read([Self.tokens[7]])), expected) < 1e-10,
      "a fork has a memory of its own")
  }

  @Test(arguments: LinearExample.all)
  func aSavedMemoryGoesOn(example: LinearExample) throws {
    let context = try Context(device: .cpu(threads: 1))
    let mixer = try example.model(in: context, dtype: .f64).blocks[0].mixer
    let norm = RMSNorm(weight_D: context.randomTensor([12], .f64, seed: 3), epsilon: 1e-5)
    func step(_ state: any MixerState, _ position: Int) -> [Double] {
      let x = context.randomTensor([1, 12], .f64, seed: UInt64(position))
      let layout = SequenceLayout(count: 1, offset: position, in: context)
      return context.readDoubles(
        mixer(x, norm: norm, addedTo: x, layout: layout, state: state, in: context).output)
    }
    let state = mixer.makeState(capacity: 4, in: context)
    _ = step(state, 0)
    let saved = state.tensors(in: context)
    let expected = [step(state, 1), step(state, 2)]
    let other = mixer.makeState(capacity: 1, in: context)
    other.restore(saved, in: context)
    #expect([step(other, 1), step(other, 2)] == expected)
    let again = mixer.makeState(capacity: 1, in: context)
    again.restore(saved, in: context)
    #expect([step(again, 1), step(again, 2)] == expected, "steps must not change what was saved")
  }

  @Test(arguments: LinearExample.all)
  func aTextIsTakenUpByAnotherGenerator(example: LinearExample) throws {
    let context = try Context(device: .cpu(threads: 1))
    let model = try example.model(in: context, dtype: .f64)
    let first = TextGenerator(model, capacity: 2, in: context)
    _ = first.read(Array(Self.tokens[..<8]))
    let memories = Dictionary(uniqueKeysWithValues: first.memories.map { ($0.name, $0.tensor) })
    let second = TextGenerator(model, capacity: 2, in: context)
    try second.restore(memories, position: 8)
    let (expected, scores) = (
      context.readDoubles(first.read(Array(Self.tokens[8...]))),
      context.readDoubles(second.read(Array(Self.tokens[8...])))
    )
    #expect(scores == expected)
    #expect(throws: ModelError.self) { try second.restore([:], position: 8) }
    var more = memories
    more["layers.9.key"] = context.zeros([1, 1])
    #expect(throws: ModelError.self) { try second.restore(more, position: 8) }
    let wrong = memories.mapValues { _ in context.zeros([3, 3]) }
    #expect(throws: ModelError.self) { try second.restore(wrong, position: 8) }
  }

  @Test(arguments: LinearExample.all)
  func documentsOfOnePackDoNotSeeEachOther(example: LinearExample) throws {
    let context = try Context(device: .cpu(threads: 2))
    let model = try example.model(in: context, dtype: .f64)
    func run(_ tokens: ArraySlice<Int32>, _ lengths: [Int]) -> Tensor {
      model(
        context.tensor(Array(tokens), [tokens.count]),
        layout: SequenceLayout(documentLengths: lengths, in: context), in: context
      ).hidden_TD
    }
    let packed = run(Self.tokens[...], [5, 7])
    let alone = run(Self.tokens[5...], [7])
    #expect(
      relativeError(context.readDoubles(packed.slice(5..<12)), context.readDoubles(alone)) < 1e-10)
  }

  @Test(arguments: LinearExample.all)
  func gradientsAgreeWithCentralDifferences(example: LinearExample) throws {
    let context = try Context(device: .cpu(threads: 2), poisoned: true)
    let model = try example.model(in: context, dtype: .f64)
    let block = model.blocks[2]
    let x = Parameter("x", context.randomTensor([9, 12], .f64, seed: 50))
    let layout = SequenceLayout(documentLengths: [5, 4], in: context)
    let parameters = [x] + block.mixer.parameters + (model.lowerBounds.map { [$0] } ?? [])
    let error = gradientDisagreement(context, parameters, directions: 2) { context in
      context.probe(block.mix(x.tensor, layout: layout, in: context).output)
    }
    #expect(error < 1e-6)
  }

  @Test(arguments: LinearExample.all)
  func theHerdFormatSaysAllOfIt(example: LinearExample) throws {
    let context = try Context(device: .cpu(threads: 1))
    let folder = TemporaryFolder()
    let (model, config) = (try example.model(in: context, dtype: .f32), example.herdConfig)
    let layout = try CheckpointLayouts.layout(for: config)
    #expect(layout.configuration == example.modelConfiguration)
    try config.write(to: "\(folder.path)/config.json")
    try ModelWriter(layout: layout).write(
      model, to: folder.path, elementType: .f32, in: context)
    let loader = try ModelLoader(layout: layout, checkpoint: Checkpoint(folder: folder.path))
    let loaded = try loader.model(in: context)
    #expect(
      context.read(loaded.logits(Self.tokens, in: context))
        == context.read(model.logits(Self.tokens, in: context)))
    let block = try loader.block(2, in: context)
    #expect(block.parameters.map(\.name) == model.blocks[2].parameters.map(\.name))
  }

  /// Rates, angles and bounds are rounded by no file, whatever type it is in.
  @Test(arguments: LinearExample.all)
  func ratesStayInFullPrecision(example: LinearExample) throws {
    let context = try Context(device: .cpu(threads: 1))
    let folder = TemporaryFolder()
    let model = try example.model(in: context, dtype: .f32)
    let config = example.herdConfig
    let layout = try CheckpointLayouts.layout(for: config)
    try config.write(to: "\(folder.path)/config.json")
    try ModelWriter(layout: layout).write(
      model, to: folder.path, elementType: .bf16, in: context)
    let checkpoint = try Checkpoint(folder: folder.path)
    let loaded = try ModelLoader(layout: layout, checkpoint: checkpoint).model(in: context)
    for (own, read) in zip(model.parameters, loaded.parameters) {
      let staysFull = [
        "log_rate", "step_proj.bias", "lrpe.theta", "model.lower_bounds",
      ].contains {
        own.name.hasSuffix($0)
      }
      #expect(checkpoint[own.name]?.elementType == (staysFull ? .f32 : .bf16), "\(own.name)")
      let isEqual = context.read(own.value) == context.read(read.value)
      #expect(isEqual == staysFull && read.value.dtype == .f32, "\(own.name)")
    }
  }

  @Test func aGatePerValueChannelDoesNotGoWithTheDeltaRule() {
    for decay in [
      LinearMixerConfiguration.Decay.outer(temperature: 1), .elementwise(temperature: 1),
      .selective,
    ] {
      let mixer = LinearMixerConfiguration(
        heads: 2, keyDimension: 4, decay: decay, update: .delta, queryKeyL2Norm: true)
      #expect(mixer.refusal?.contains("all value channels share") == true)
    }
  }

  /// The softmax beside is what the attention layer of the same matrices gives.
  @Test func aWindowIsHalfTheLinearLayerAndHalfAttention() throws {
    let context = try Context(device: .cpu(threads: 2))
    let mixed = try LinearExample.window.model(in: context, dtype: .f64).blocks[0].mixer
    let prefix = "\(ParameterName.block(0)).self_attn."
    func only(_ names: [String]) -> [Parameter] {
      mixed.parameters.filter { names.contains(String($0.name.dropFirst(prefix.count))) }
    }
    let linear = try LinearExample.halo.configuration.mixer(
      prefix: String(prefix.dropLast()), epsilon: 1e-5, parameters: mixed.parameters, in: context)
    let projections = ["q_proj", "k_proj", "v_proj", "o_proj"].map { "\($0).weight" }
    let softmax = try AttentionConfiguration(
      heads: 4, keyHeads: 2, headDimension: 6, rope: RoPEConfiguration(theta: 10000), window: 3
    ).mixer(prefix: String(prefix.dropLast()), parameters: only(projections), in: context)
    let x = context.randomTensor([11, 12], .f64, seed: 4)
    let norm = RMSNorm(weight_D: context.randomTensor([12], .f64, seed: 3), epsilon: 1e-5)
    let layout = SequenceLayout(documentLengths: [7, 4], in: context)
    func output(_ mixer: any TokenMixer) -> [Double] {
      context.readDoubles(
        mixer(x, norm: norm, addedTo: x, layout: layout, state: nil, in: context).output)
    }
    let halves = zip(output(linear), output(softmax)).map { ($0 + $1) / 2 }
    #expect(relativeError(output(mixed), halves) < 1e-12)
  }

  /// No more rows than two windows, or than a piece just read.
  @Test func aWindowedMemoryStaysAsLarge() throws {
    let context = try Context(device: .cpu(threads: 1))
    let mixer = try LinearExample.window.model(in: context, dtype: .f64).blocks[0].mixer
    let norm = RMSNorm(weight_D: context.randomTensor([12], .f64, seed: 3), epsilon: 1e-5)
    let state = mixer.makeState(capacity: 1, in: context)
    var position = 0
    // A long piece, then token by token.
    for count in [40] + [Int](repeating: 1, count: 60) {
      _ = mixer(
        context.randomTensor([count, 12], .f64, seed: UInt64(position)), norm: norm, addedTo: nil,
        layout: SequenceLayout(count: count, offset: position, in: context), state: state,
        in: context)
      position += count
      let rows = state.tensors(in: context).dropFirst().map(\.tensor.rows)
      #expect(rows.count == 2 && rows.allSatisfy { (1...max(6, count)).contains($0) })
    }
  }

  /// A change of one field and a part of the error that must name it.
  @Test(arguments: [
    ("heads", "3", "key heads do not divide"), ("key_heads", "0", "key_heads"),
    ("key_dimension", "300", "key_dimension"), ("value_dimension", "\"x\"", "value_dimension"),
    ("expand", "\"most\"", "one of projected, learned, complement"),
    ("shrink", "\"complement\"", "only the expand state"), ("scale", "0", "scale"),
    ("decay", "{\"kind\": \"odd\"}", "channel_gate"),
    ("decay", "{\"kind\": \"fixed\", \"family\": \"alibi\", \"slopes\": [1]}", "4 slopes"),
    ("decay", "{\"kind\": \"fixed\", \"family\": \"alibi\", \"slopes\": [1, 1, 1, -1]}", "slopes"),
    ("decay", "{\"kind\": \"head_gate\", \"temperature\": 0}", "temperature"),
    (
      "decay", "{\"kind\": \"channel_gate\", \"lower_bound\": {\"row\": 3, \"rows\": 3}}",
      "lower bounds"
    ),
    ("expand", "\"complement\"", "channel_gate"), ("query_map", "\"gelu\"", "relu2"),
    ("positions", "{\"kind\": \"alibi\"}", "lrpe_cosine"), ("output_norm", "\"layer\"", "per_head"),
    ("gate", "{\"activation\": \"tanh\"}", "sigmoid"),
    ("gate", "{\"activation\": \"silu\", \"rnk\": 4}", "did you mean \"rank\""),
    ("decay", "{\"kind\": \"head_gate\", \"temprature\": 16}", "did you mean \"temperature\""),
    ("positions", "{\"kind\": \"lrpe_cosine\", \"bse\": 2}", "did you mean \"base\""),
    ("decay", "{\"kind\": \"elementwise\", \"temperature\": -1}", "temperature"),
    ("decay", "{\"kind\": \"none\", \"temperature\": 2}", "\"temperature\" should be absent"),
    (
      "decay", "{\"kind\": \"selective\", \"temperature\": 16}",
      "of kind selective: \"temperature\""
    ),
    ("decay", "{\"kind\": \"selective\", \"lower_bound\": {}}", "\"lower_bound\" should be absent"),
    ("decay", "{\"kind\": \"elementwise\", \"slopes\": [1]}", "\"slopes\" should be absent"),
    ("decay", "{\"kind\": \"outer\", \"per_channel\": true}", "\"per_channel\" should be absent"),
    ("decay", "{\"kind\": \"head_gate\", \"family\": \"tnl\"}", "\"family\" should be absent"),
    ("decay", "{\"kind\": \"learned\", \"lower_bound\": {}}", "\"lower_bound\" should be absent"),
    ("decay", "{\"kind\": \"channel_gate\", \"slopes\": [1]}", "\"slopes\" should be absent"),
    ("update", "\"delta\"", "query_key_l2_norm: true"),
    ("update", "\"replace\"", "one of sum, delta"),
    ("query_key_l2_norm", "1", "true or false"),
    ("gate", "{\"activation\": \"silu\", \"rank\": 0}", "rank"), ("window", "0", "a window of 0"),
  ])
  func badFieldsAreNamed(key: String, value: String, expected: String) throws {
    let config = LinearExample.halo.herdConfig
    var herd = try config.section("herd").object
    var blocks = herd["blocks"]?.array ?? []
    var block = try #require(blocks[0].object)
    var mixer = try #require(block["mixer"]?.object)
    mixer[key] = try JSON.parse(Array(value.utf8))
    block["mixer"] = .object(mixer)
    blocks[0] = .object(block)
    herd["blocks"] = .array(blocks)
    var changed = config
    changed["herd"] = .object(herd)
    let error = try #require(throws: (any Error).self) {
      try CheckpointLayouts.layout(for: changed)
    }
    let text = "\(error)"
    #expect(text.contains(expected))
  }
}

extension LinearExample {
  /// The `config.json` of the model in herd's own format.
  var herdConfig: ConfigurationFile {
    let blocks = modelConfiguration.blocks.map { block -> JSON in
      ["mixer": block.mixer.json, "mlp": block.mlp.json]
    }
    return ConfigurationFile(
      path: "config.json",
      object: [
        "model_type": "herd", "hidden_size": 12, "num_hidden_layers": 3, "vocab_size": 20,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 6,
        "intermediate_size": 10, "rms_norm_eps": .number(JSONNumber(1e-5)),
        "rope_theta": 10000, "max_position_embeddings": 64, "tie_word_embeddings": false,
        "herd": ["format_version": 1, "base_model_type": "llama", "blocks": .array(blocks)],
      ])
  }
}
