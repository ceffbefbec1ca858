import Numerics
import TestSupport
import Testing

@Suite struct AttentionTests {
  private static let sizes: [AttentionCase] = [1, 2, 63, 65, 130].flatMap { tokens in
    zip([2, 32, 63, 128], [(2, 2), (2, 1), (4, 1), (4, 2)]).map { dim, heads in
      AttentionCase(tokens: tokens, dim: dim, heads: heads.0, keyHeads: heads.1)
    }
  }

  private static let layouts: [AttentionCase] = [
    AttentionCase(tokens: 65, dim: 16, documents: [20, 1, 44]),
    AttentionCase(tokens: 130, dim: 32, documents: [64, 1, 1, 64]),
    AttentionCase(tokens: 200, dim: 8, heads: 4, keyHeads: 2, documents: [3, 130, 67]),
    AttentionCase(tokens: 130, dim: 8, window: 1),
    AttentionCase(tokens: 200, dim: 20, window: 70),
    AttentionCase(tokens: 131, dim: 32, heads: 3, keyHeads: 3, documents: [100, 31], window: 40),
    AttentionCase(tokens: 1, dim: 63, queryOffset: 600),
    AttentionCase(tokens: 1, dim: 256, heads: 4, keyHeads: 2, queryOffset: 70),
    AttentionCase(tokens: 3, dim: 24, heads: 6, keyHeads: 2, queryOffset: 1023, window: 700),
    AttentionCase(tokens: 40, dim: 33, queryOffset: 77),
    AttentionCase(tokens: 70, dim: 256, heads: 1, queryOffset: 5, window: 30),
    AttentionCase(tokens: 3, dim: 4, heads: 100, keyHeads: 1),
    AttentionCase(tokens: 9, dim: 4, heads: 100, keyHeads: 1),
  ]

  private func inputs(_ context: Context, _ test: AttentionCase, _ dtype: DType) -> [Parameter] {
    [
      Parameter("query", context.randomTensor(test.queryShape, dtype, seed: 1)),
      Parameter("key", context.randomTensor(test.keyShape, dtype, seed: 2)),
      Parameter("value", context.randomTensor(test.keyShape, dtype, seed: 3)),
    ]
  }

  private func attention(_ context: Context, _ test: AttentionCase, _ inputs: [Parameter]) -> Tensor
  {
    context.attention(
      query: inputs[0].tensor, key: inputs[1].tensor, value: inputs[2].tensor, heads: test.heads,
      keyHeads: test.keyHeads, scale: test.scale,
      documentStarts: test.documentStarts.map { context.tensor($0, [test.tokens]) },
      queryOffset: test.queryOffset, window: test.window)
  }

  /// The output and the three gradients of its probe.
  private func results(_ context: Context, _ test: AttentionCase, _ dtype: DType) -> [[Double]] {
    let parameters = inputs(context, test, dtype)
    for parameter in parameters { parameter.isTrainable = true }
    var output: [Double] = []
    context.recording {
      let y = attention(context, test, parameters)
      output = context.readDoubles(y)
      return context.probe(y)
    }
    return [output] + parameters.map { $0.gradient.map(context.readDoubles) ?? [] }
  }

  @Test(arguments: sizes + layouts)
  func equalsTheTextbookForm(test: AttentionCase) throws {
    let context = try Context(device: .cpu(threads: 2))
    let parameters = inputs(context, test, .f64)
    let values = parameters.map { context.readDoubles($0.value) }
    let output = context.readDoubles(attention(context, test, parameters))
    #expect(relativeError(output, test.naive(values[0], values[1], values[2])) < 1e-13)
  }

  @Test(arguments: sizes + layouts)
  func gradientsAgreeWithCentralDifferences(test: AttentionCase) throws {
    let context = try Context(device: .cpu(threads: 2))
    let parameters = inputs(context, test, .f64)
    let error = gradientDisagreement(context, parameters, directions: 2) { context in
      context.probe(attention(context, test, parameters))
    }
    #expect(error < 1e-6)
  }

  @Test(arguments: sizes + layouts)
  func everyInstructionSetAgreesWithDouble(test: AttentionCase) throws {
    for (name, context) in try cpuVariants() {
      for (single, reference) in zip(
        results(context, test, .f32), results(context, test, .f64))
      {
        // One key has weight 1 whatever the scores: two gradients are zero but for rounding.
        let size = (reference.reduce(0) { $0 + $1 * $1 } / Double(reference.count)).squareRoot()
        if size > 1e-9 {
          #expect(relativeError(single, reference) < 2e-6, "\(name)")
        } else {
          #expect(single.allSatisfy { abs($0) < 1e-5 }, "\(name)")
        }
      }
    }
  }

  @Test func oneTensorMayBeQueryKeyAndValue() throws {
    let context = try Context()
    let x = Parameter("x", context.randomTensor([70, 12], .f64, seed: 4))
    let error = gradientDisagreement(context, [x]) { context in
      context.probe(
        context.attention(
          query: x.tensor, key: x.tensor, value: x.tensor, heads: 3, keyHeads: 3, scale: 0.5))
    }
    #expect(error < 1e-6)
  }

  @Test(arguments: [1, 2, 4, 5, 16], [nil, 50])
  func prefillThenCachedStepsEqualTheFullPass(step: Int, window: Int?) throws {
    let (total, heads, keyHeads, dim) = (150, 4, 2, 24)
    for (name, context) in try cpuVariants() {
      let query = context.randomTensor([total, heads * dim], .f32, seed: 5)
      let key = context.randomTensor([total, keyHeads * dim], .f32, seed: 6)
      let value = context.randomTensor([total, keyHeads * dim], .f32, seed: 7)
      func run(_ tokens: Range<Int>) -> [Float] {
        context.read(
          context.attention(
            query: query.slice(tokens), key: key.slice(0..<tokens.upperBound),
            value: value.slice(0..<tokens.upperBound), heads: heads, keyHeads: keyHeads, scale: 0.3,
            queryOffset: tokens.lowerBound, window: window))
      }
      var cached = run(0..<100)
      for start in stride(from: 100, to: total, by: step) {
        cached += run(start..<min(total, start + step))
      }
      #expect(relativeError(cached, run(0..<total).map(Double.init)) < 1e-6, "\(name)")
    }
  }

  @Test func resultsAreTheSameFromRunToRun() throws {
    let test = AttentionCase(
      tokens: 333, dim: 40, heads: 6, keyHeads: 3, documents: [200, 133], window: 150)
    for threads in [1, 2, 3] {
      let context = try Context(device: .cpu(threads: threads))
      let first = results(context, test, .f32)
      for _ in 0..<4 { #expect(results(context, test, .f32) == first) }
    }
  }

  @Test func largeScoresStayFinite() throws {
    for (name, context) in try cpuVariants() {
      let test = AttentionCase(tokens: 130, dim: 32)
      let parameters = inputs(context, test, .f32)
      for parameter in parameters { parameter.isTrainable = true }
      context.recording {
        context.probe(
          context.attention(
            query: parameters[0].tensor, key: parameters[1].tensor, value: parameters[2].tensor,
            heads: 2, keyHeads: 1, scale: 1000))
      }
      for parameter in parameters {
        #expect(parameter.gradient.map(context.read)?.allSatisfy(\.isFinite) == true, "\(name)")
      }
    }
  }
}
