import Glibc
import Models
import Numerics
import TestSupport
import Testing

/// A model whose attention is made of experts, with random sizes and weights.
struct AttentionMixtureCase: Sendable, CustomTestStringConvertible {
  var kind: AttentionMixtureConfiguration.Kind
  var heads: Int
  var keyHeads: Int
  var topK: Int
  var sharedHeads: [Int] = []
  var experts: Int
  var combination: Combination
  var window: Int?
  var seed: UInt64 = 1

  var testDescription: String {
    "\(kind.rawValue) \(heads):\(keyHeads) E\(experts) K\(topK) shared \(sharedHeads) "
      + "window \(window ?? 0)"
  }

  static let all: [AttentionMixtureCase] = [
    .init(
      kind: .heads, heads: 6, keyHeads: 2, topK: 2, sharedHeads: [1, 4], experts: 4,
      combination: .gained),
    .init(
      kind: .heads, heads: 8, keyHeads: 4, topK: 1, sharedHeads: [0, 1, 6, 7], experts: 2,
      combination: .gained, window: 5),
    .init(
      kind: .moa, heads: 6, keyHeads: 2, topK: 2, experts: 3,
      combination: .renormalizedSoftmax(scale: 2)),
    .init(
      kind: .keyGroup, heads: 8, keyHeads: 4, topK: 2, experts: 4,
      combination: .renormalizedSoftmax(scale: 2)),
    .init(
      kind: .keyGroup, heads: 6, keyHeads: 3, topK: 1, experts: 3, combination: .softmax(scale: 3),
      window: 4),
  ]

  func configuration(isMixture: Bool = true, mlp: MLPConfiguration? = nil) -> ModelConfiguration {
    let attention = AttentionConfiguration(
      heads: heads, keyHeads: keyHeads, headDimension: 4, rope: RoPEConfiguration(theta: 10000),
      window: window,
      mixture: isMixture
        ? AttentionMixtureConfiguration(
          kind: kind, experts: experts, topK: topK, sharedHeads: sharedHeads,
          combination: combination, routerBias: true) : nil)
    let block = BlockConfiguration(
      mixer: .attention(attention), mlp: mlp ?? .dense(DenseConfiguration(width: 12)))
    return ModelConfiguration(
      vocabularySize: 24, hiddenSize: 16, normEpsilon: 1e-5, tiedEmbeddings: true,
      maximumPositions: 64, blocks: [block, block])
  }

  /// Equal names have equal values, whatever else is in the model.
  func model(
    isMixture: Bool = true, mlp: MLPConfiguration? = nil, _ dtype: DType = .f64,
    editing edit: (String, [Double]) -> [Double] = { $1 }, in context: Context
  ) throws -> LanguageModel {
    let configuration = configuration(isMixture: isMixture, mlp: mlp)
    let parameters = configuration.parameterShapes.map { shape in
      let name = shape.name.utf8.reduce(seed) { $0 &* 31 &+ UInt64($1) }
      var random = RandomStream(seed: name)
      let isNorm = shape.name.hasSuffix("norm.weight")
      let values = random.uniform(
        shape.shape.reduce(1, *), in: isNorm ? 0.8...1.2 : -0.6...0.6)
      return Parameter(
        shape.name, context.tensor(edit(shape.name, values.map(Double.init)), shape.shape, dtype))
    }
    return try LanguageModel(configuration, parameters: parameters, in: context)
  }
}

@Suite struct AttentionMixtureTests {
  private let tokens: [Int32] = [7, 3, 11, 20, 2, 2, 19, 5, 8, 1, 4, 23, 9]

  @Test(arguments: AttentionMixtureCase.all, [DType.f64, .f32])
  func allExpertsTogetherAreTheDenseModel(example: AttentionMixtureCase, dtype: DType) throws {
    let context = try Context(device: .cpu(threads: 2))
    for seed in 1...3 {
      var example = example
      example.seed = UInt64(seed)
      let mixture = try example.model(dtype, in: context)
      let dense = try example.model(isMixture: false, dtype, in: context)
      let expected = context.readDoubles(dense.logits(tokens, in: context))
      let found = context.readDoubles(
        mixture.choosingAllExperts { mixture.logits(tokens, in: context) })
      let error = relativeError(found.map { Float($0) }, expected)
      #expect(error < (dtype == .f64 ? 1e-7 : 1e-5))
      let chosen = context.readDoubles(mixture.logits(tokens, in: context))
      #expect(relativeError(chosen.map { Float($0) }, expected) > 1e-3)
    }
  }

  /// The checks of LLaMA-MoE-v2's and JetMoE's own forms: no routing preference, every expert, and
  /// weights that sum to their number.
  @Test(arguments: AttentionMixtureCase.all.filter { $0.kind != .heads })
  func aZeroRouterWithEveryExpertIsDense(example: AttentionMixtureCase) throws {
    let context = try Context(device: .cpu(threads: 2))
    var example = example
    example.topK = example.experts
    example.combination = .renormalizedSoftmax(scale: Double(example.experts))
    let mixture = try example.model(
      editing: { $0.contains(".router.") ? $1.map { _ in 0 } : $1 }, in: context)
    let dense = try example.model(isMixture: false, in: context)
    let difference = zip(
      context.readDoubles(mixture.logits(tokens, in: context)),
      context.readDoubles(dense.logits(tokens, in: context))
    ).map { abs($0 - $1) }.max()
    #expect((difference ?? 1) < 1e-12)
  }

  @Test(arguments: AttentionMixtureCase.all, [1, 4])
  func cachedEqualsUncached(example: AttentionMixtureCase, chunk: Int) throws {
    let context = try Context(device: .cpu(threads: 2))
    let model = try example.model(in: context)
    let full = context.readDoubles(model.logits(tokens, in: context))
    let generator = TextGenerator(model, capacity: 2, in: context)
    var fork: TextGenerator?
    for start in stride(from: 0, to: tokens.count, by: chunk) {
      let end = min(tokens.count, start + chunk)
      let found = context.readDoubles(generator.read(Array(tokens[start..<end])))
      let expected = full[(end - 1) * 24..<end * 24]
      #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-10 }, "position \(end - 1)")
      if end == tokens.count {
        let again = context.readDoubles((fork ?? generator).read(Array(tokens[start..<end])))
        #expect(again == found)
      } else if tokens.count - end <= chunk {
        fork = generator.fork()
      }
    }
  }

  @Test(arguments: AttentionMixtureCase.all)
  func aStateIsRestoredFromItsTensors(example: AttentionMixtureCase) throws {
    let context = try Context(device: .cpu(threads: 2))
    let mixer = try example.model(in: context).blocks[0].mixer
    let norm = RMSNorm(
      weight_D: context.tensor([Double](repeating: 1, count: 16), [16]), epsilon: 1e-5)
    let x = context.randomTensor([9, 16], .f64, seed: 4)
    func run(_ rows: Range<Int>, _ state: any MixerState) -> [Double] {
      let layout = SequenceLayout(count: rows.count, offset: rows.lowerBound, in: context)
      return context.readDoubles(
        mixer(
          x.slice(rows), norm: norm, addedTo: nil, layout: layout, state: state, in: context
        ).output)
    }
    let state = mixer.makeState(capacity: 1, in: context)
    _ = run(0..<6, state)
    let copy = mixer.makeState(capacity: 1, in: context)
    copy.restore(state.tensors(in: context), in: context)
    #expect(run(6..<9, copy) == run(6..<9, state))
  }

  @Test(arguments: AttentionMixtureCase.all)
  func gradientsAgreeWithCentralDifferences(example: AttentionMixtureCase) throws {
    let context = try Context(device: .cpu(threads: 2))
    let model = try example.model(in: context)
    let parameters = model.blocks[0].parameters + [model.embedding]
    let ids = context.tensor(tokens, [tokens.count])
    let layout = SequenceLayout(documentLengths: [5, 8], in: context)
    let error = gradientDisagreement(context, parameters, directions: 1) { context in
      let output = model(ids, layout: layout, in: context)
      let balance = output.routings.map {
        (
          0.5,
          context.loadBalanceLoss(
            $0.routing, experts: example.experts, topK: example.topK)
        )
      }
      return context.weightedSum([(1, context.probe(output.hidden_TD))] + balance)
    }
    #expect(error < 1e-6)
    // What trains the router: gains start at u = 0 in a conversion, here they do not.
    context.recording {
      context.probe(model(ids, layout: layout, in: context).hidden_TD)
    }
    let routers = parameters.filter { $0.name.contains(".router.") }
    let isConstant = example.topK == 1 && example.combination == .renormalizedSoftmax(scale: 1)
    for router in routers where !isConstant {
      let gradient = try #require(router.gradient, "\(router.name)")
      #expect(context.readDoubles(gradient).contains { abs($0) > 1e-9 }, "\(router.name)")
    }
  }

  /// Softmax over the tokens of the document that share the expert, written out.
  @Test func keyGroupsSeeOnlyTheirTokens() throws {
    let context = try Context(device: .cpu(threads: 1))
    let example = AttentionMixtureCase.all[3]
    let model = try example.model(in: context)
    let (lengths, count) = ([4, 9], 13)
    let layout = SequenceLayout(documentLengths: lengths, in: context)
    let full = model(context.tensor(tokens, [count]), layout: layout, in: context)
    // A token that no later token of its document shares an expert with in any layer may change
    // without a trace; here: changing a document changes nothing of the other.
    var changed = tokens
    for index in 0..<4 { changed[index] = 15 - changed[index] % 8 }
    let other = model(context.tensor(changed, [count]), layout: layout, in: context)
    let (a, b) = (context.readDoubles(full.hidden_TD), context.readDoubles(other.hidden_TD))
    #expect(a[..<16] != b[..<16])
    #expect(zip(a[64...], b[64...]).allSatisfy { abs($0 - $1) < 1e-12 })
  }

  @Test func keyGroupsEqualMaskedAttention() throws {
    let context = try Context(device: .cpu(threads: 1))
    for example in AttentionMixtureCase.all.suffix(2) {
      let (tokens, dim, keyHeads) = (13, 4, example.keyHeads)
      let group = example.heads / keyHeads
      let names = [("q_proj", example.heads), ("k_proj", keyHeads), ("v_proj", keyHeads)]
      var values: [String: [Double]] = [:]
      var parameters: [Parameter] = []
      func add(_ name: String, _ shape: [Int]) {
        let tensor = context.randomTensor(shape, .f64, seed: UInt64(parameters.count + 3))
        values[name] = context.readDoubles(tensor)
        parameters.append(Parameter("a.\(name)", tensor))
      }
      for (name, heads) in names { add("\(name).weight", [heads * dim, 16]) }
      // The output projection is the identity on as many channels as there are.
      let columns = example.heads * dim
      let identity = (0..<16 * columns).map { $0 / columns == $0 % columns ? 1.0 : 0 }
      parameters.append(Parameter("a.o_proj.weight", context.tensor(identity, [16, columns])))
      add("router.weight", [example.experts, 16])
      add("router.bias", [example.experts])
      guard case .attention(var attention) = example.configuration().blocks[0].mixer else { return }
      attention.rope = RoPEConfiguration(theta: 1e30)
      let mixer = try attention.mixer(prefix: "a", parameters: parameters, in: context)
      let x = context.randomTensor([tokens, 16], .f64, seed: 77)
      let norm = RMSNorm(
        weight_D: context.tensor([Double](repeating: 1, count: 16), [16]), epsilon: 0)
      let normed = context.readDoubles(context.rmsNorm(x, norm))
      let result = mixer(
        x, norm: norm, addedTo: x,
        layout: SequenceLayout(documentLengths: [6, 7], in: context), state: nil, in: context)
      let routing = try #require(result.routing)
      let chosen = context.readIntegers(routing.experts_TK)
      let weights = context.readDoubles(routing.weights_TK)
      let residual = context.readDoubles(x)
      let update = zip(context.readDoubles(result.output), residual).map { $0 - $1 }
      func project(_ name: String, _ token: Int, _ row: Int) -> Double {
        (0..<16).reduce(0) {
          $0 + (values["\(name).weight"]?[row * 16 + $1] ?? 0) * normed[token * 16 + $1]
        }
      }
      // Rotation mixes the first pair by the position; theta this large leaves the second alone.
      func turned(_ name: String, _ token: Int, _ head: Int) -> [Double] {
        let row = (0..<dim).map { project(name, token, head * dim + $0) }
        let angle = Double(token < 6 ? token : token - 6)
        let (c, s) = (cos(angle), sin(angle))
        return [row[0] * c - row[2] * s, row[1], row[2] * c + row[0] * s, row[3]]
      }
      for token in 0..<tokens {
        for head in 0..<min(example.heads, 16 / dim) {
          let expert = Int32(head / group)
          let slots = token * example.topK..<(token + 1) * example.topK
          var expected = [Double](repeating: 0, count: dim)
          if let slot = slots.first(where: { chosen[$0] == expert }) {
            let first = max(token < 6 ? 0 : 6, token - (example.window ?? tokens) + 1)
            let seen = (first...token).filter {
              chosen[$0 * example.topK..<($0 + 1) * example.topK].contains(expert)
            }
            let query = turned("q_proj", token, head)
            let scores = seen.map { other in
              exp(
                zip(query, turned("k_proj", other, Int(expert))).reduce(0) { $0 + $1.0 * $1.1 } / 2)
            }
            let total = scores.reduce(0, +)
            for (score, other) in zip(scores, seen) {
              for channel in 0..<dim {
                expected[channel] +=
                  weights[slot] * score / total
                  * project("v_proj", other, Int(expert) * dim + channel)
              }
            }
          }
          for channel in 0..<dim {
            let found = update[token * 16 + head * dim + channel]
            #expect(abs(found - expected[channel]) < 1e-9, "token \(token) head \(head)")
          }
        }
      }
    }
  }

  @Test func checkpointedBlocksGiveTheSameGradients() throws {
    let context = try Context(device: .cpu(threads: 1))
    let mlp = MLPConfiguration.mixture(
      MixtureConfiguration(experts: 3, topK: 2, expertWidth: 4, combination: .gained))
    for example in AttentionMixtureCase.all {
      let model = try example.model(mlp: mlp, .f32, in: context)
      for parameter in model.parameters { parameter.isTrainable = true }
      func gradients(checkpointing: Bool) -> [[Double]] {
        for parameter in model.parameters { parameter.gradient = nil }
        context.recording {
          let output = model(
            context.tensor(tokens, [tokens.count]),
            layout: SequenceLayout(count: tokens.count, in: context),
            checkpointing: checkpointing, in: context)
          #expect(output.routings.map(\.part) == [.attention, .mlp, .attention, .mlp])
          #expect(output.routings.map(\.layer) == [0, 0, 1, 1])
          let balance = output.routings.map {
            (
              0.1,
              context.loadBalanceLoss(
                $0.routing, experts: $0.routing.counts_E.count,
                topK: $0.routing.experts_TK.columns)
            )
          }
          return context.weightedSum([(1, context.probe(output.hidden_TD))] + balance)
        }
        return model.parameters.map { $0.gradient.map(context.readDoubles) ?? [] }
      }
      #expect(gradients(checkpointing: false) == gradients(checkpointing: true))
    }
  }

  @Test func parametersThatATokenDoesNotUseAreCounted() {
    let cases = AttentionMixtureCase.all
    for (index, idleHeads, idleKeys) in [(0, 2, 0), (1, 2, 0), (2, 2, 0), (3, 4, 2), (4, 4, 2)] {
      let counts = cases[index].configuration().parameterCounts
      #expect(counts.total - counts.active == 2 * (idleHeads + idleKeys) * 4 * 16 * 2)
    }
  }

  @Test func impossibleMixturesAreRefused() {
    let attention = AttentionConfiguration(
      heads: 8, keyHeads: 4, headDimension: 4, rope: RoPEConfiguration(theta: 10000))
    func refusal(
      _ kind: AttentionMixtureConfiguration.Kind, _ experts: Int, _ topK: Int, _ shared: [Int]
    ) -> String? {
      AttentionMixtureConfiguration(
        kind: kind, experts: experts, topK: topK, sharedHeads: shared, combination: .gained
      ).refusal(attention)
    }
    #expect(refusal(.heads, 6, 2, [0, 7]) == nil && refusal(.heads, 3, 2, [0, 7]) == nil)
    #expect(refusal(.keyGroup, 4, 4, []) == nil && refusal(.moa, 2, 1, []) == nil)
    for (kind, experts, topK, shared) in [
      (AttentionMixtureConfiguration.Kind.heads, 6, 7, [0, 7]), (.heads, 6, 2, [7, 0]),
      (.heads, 6, 2, [0, 8]), (.heads, 6, 2, [0, 0]), (.heads, 4, 2, [0, 7]),
      (.heads, 1, 1, Array(0..<8)), (.keyGroup, 8, 2, []), (.moa, 4, 2, []), (.moa, 2, 1, [0]),
    ] {
      #expect(refusal(kind, experts, topK, shared) != nil, "\(kind) \(experts) \(topK) \(shared)")
    }
  }
}
