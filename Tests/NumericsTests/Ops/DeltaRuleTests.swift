import Numerics
import TestSupport
import Testing

@Suite struct DeltaRuleTests {
  private static let cases: [DeltaRuleCase] = {
    let sizes: [(documents: [Int], dim: Int, width: Int, heads: Int)] = [
      ([1], 64, 96, 2), ([63], 16, 33, 1), ([65], 128, 16, 2), ([70], 256, 33, 1),
      ([40], 24, 256, 1), ([500], 16, 24, 2), ([5], 1, 1, 12), ([66], 5, 7, 4),
      ([0, 1, 63, 0, 64, 65, 1, 0], 16, 24, 3),
    ]
    return sizes.enumerated().flatMap { index, size in
      DeltaRuleCase.decays.map { decay in
        DeltaRuleCase(
          attention: LinearAttentionCase(
            documents: size.documents, dim: size.dim, width: size.width, heads: size.heads,
            decay: decay, hasState: index % 3 != 1, seed: UInt64(index + 1)))
      }
    }
  }()

  private func results(_ context: Context, _ test: DeltaRuleCase, _ dtype: DType) -> [[Double]] {
    context.probedResults(of: test.inputs(context, dtype)) { test.run(context, $0) }
  }

  /// Compares all results; a decay's gradient, a difference of sums, against the size of what it is
  /// the difference of.
  private func expectAgreement(
    _ found: [[Double]], _ expected: [[Double]], _ test: DeltaRuleCase, _ tolerance: Double,
    _ name: String
  ) {
    let attention = test.attention
    let largest = expected.dropFirst(2).flatMap { $0 }.reduce(0) { max($0, abs($1)) }
    for (index, (a, b)) in zip(found, expected).enumerated() where !b.isEmpty {
      if index == 6, attention.decay != .none {
        let tokens = attention.decay == .constant ? max(1, test.tokens) : 1
        let worst = zip(a, b).map { abs($0 - $1) }.max() ?? 0
        let floor =
          largest * Double(tokens) * Double(max(attention.dim, attention.width)).squareRoot()
        #expect(worst <= tolerance * floor, "\(name), decay: \(worst) of \(floor)")
      } else if b.contains(where: { $0 != 0 }) {
        let error = relativeError(a, b)
        #expect(error < tolerance, "\(name), result \(index): \(error)")
      } else {
        #expect(a.allSatisfy { $0 == 0 }, "\(name), result \(index)")
      }
    }
  }

  @Test(arguments: cases)
  func equalsTheRecurrence(test: DeltaRuleCase) throws {
    let context = try Context()
    let inputs = test.inputs(context, .f64).map { context.readDoubles($0.value) }
    func weights(_ count: Int, _ seed: UInt64) -> [Double] {
      context.readDoubles(context.randomTensor([1, count], .f64, seed: seed))
    }
    let reference = test.naive(
      inputs, dOutput: weights(inputs[2].count, 99), dFinal: weights(inputs[3].count, 98))
    for threads in [1, 3] {
      let context = try Context(device: .cpu(threads: threads), poisoned: true)
      expectAgreement(
        results(context, test, .f64), reference, test, 1e-12, "\(threads) threads")
    }
  }

  @Test(arguments: cases)
  func everyInstructionSetAgreesWithDouble(test: DeltaRuleCase) throws {
    let reference = results(try Context(), test, .f64)
    for (name, context) in try cpuVariants() {
      expectAgreement(results(context, test, .f32), reference, test, 5e-6, name)
    }
  }

  @Test(arguments: cases.filter { $0.tokens < 200 && $0.attention.decay != .extreme })
  func gradientsAgreeWithCentralDifferences(test: DeltaRuleCase) throws {
    let context = try Context(device: .cpu(threads: 2))
    let parameters = test.inputs(context, .f64)
    for uses in ["both", "output", "state"] {
      let error = gradientDisagreement(context, parameters) { context in
        let (output, state) = test.run(context, parameters)
        switch uses {
        case "output": return context.probe(output)
        case "state": return context.probe(state)
        default: return test.loss(context, parameters)
        }
      }
      #expect(error < 1e-6, "\(uses)")
    }
  }

  @Test func documentsWithoutTokensHandTheirStateOn() throws {
    let context = try Context()
    for decay in DeltaRuleCase.decays {
      let test = DeltaRuleCase(
        attention: LinearAttentionCase(
          documents: [0, 0], dim: 4, width: 3, heads: 2, decay: decay))
      let parameters = test.inputs(context, .f64)
      parameters[3].isTrainable = true
      context.recording {
        let (output, final) = test.run(context, parameters)
        #expect(output.shape == [0, 6])
        #expect(context.readDoubles(final) == context.readDoubles(parameters[3].value))
        return context.probe(final)
      }
      let weights = context.readDoubles(context.randomTensor([1, 48], .f64, seed: 99))
      #expect(parameters[3].gradient.map(context.readDoubles) == weights)
      let none = DeltaRuleCase(
        attention: LinearAttentionCase(documents: [], dim: 4, width: 3, heads: 2, decay: decay))
      #expect(none.run(context, none.inputs(context, .f64)).finalState.shape == [0, 2, 4, 3])
    }
  }

  /// A key of length 1 gives back the value written last under it, whatever was written before.
  @Test func aKeyRecallsItsLastValue() throws {
    let context = try Context()
    let keys = [[0.6, 0.8], [0.8, -0.6], [0.6, 0.8]]
    let values = [[1.0, 2, 3], [4, 5, 6], [-7, 8, -9]]
    let (output, state) = context.deltaRule(
      query: context.tensor([keys[0], keys[0], keys[1]].flatMap { $0 }, [3, 2]),
      key: context.tensor(keys.flatMap { $0 }, [3, 2]),
      value: context.tensor(values.flatMap { $0 }, [3, 3]),
      beta: context.tensor([1.0, 1, 1], [3, 1]), heads: 1, scale: 1)
    #expect(
      relativeError(context.readDoubles(output), [1, 2, 3, 1, 2, 3, 4, 5, 6] as [Double]) < 1e-14)
    let last = context.linearAttentionStep(
      query: context.tensor(keys[0], [1, 2]), key: context.tensor([0.0, 0], [1, 2]),
      value: context.tensor([0.0, 0, 0], [1, 3]), heads: 1, scale: 1, state: state)
    #expect(relativeError(context.readDoubles(last), values[2]) < 1e-14)
  }

  /// A document cut anywhere into prefills and steps gives what the whole gives.
  @Test(arguments: 1...12 as ClosedRange<UInt64>)
  func anyCutGivesTheSame(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let decay = DeltaRuleCase.decays[Int(seed) % DeltaRuleCase.decays.count]
    let test = DeltaRuleCase(
      attention: LinearAttentionCase(
        documents: [Int.random(in: 1...150, using: &random)],
        dim: Int.random(in: 1...40, using: &random), width: Int.random(in: 1...40, using: &random),
        heads: Int.random(in: 1...3, using: &random), decay: decay, seed: seed))
    for (name, context) in try cpuVariants() {
      let parameters = test.inputs(context, .f32)
      let (output, final) = test.run(context, parameters)
      let inputs = parameters.map(\.value)
      var carried = context.zeros(test.attention.stateShape)
      context.copy(inputs[3], into: carried)
      var found: [Float] = []
      var done = 0
      while done < test.tokens {
        let count = min(test.tokens - done, [1, 1, 5, 64].randomElement(using: &random) ?? 1)
        let rows = done..<done + count
        let x = [0, 1, 2, inputs.count - 1].map { inputs[$0].slice(rows) }
        let (heads, scale) = (test.heads, test.attention.scale)
        let decay = test.attention.decay(inputs, rows)
        if count == 1 {
          found += context.read(
            context.deltaRuleStep(
              query: x[0], key: x[1], value: x[2], beta: x[3], heads: heads, scale: scale,
              decay: decay, state: carried))
        } else {
          let part = context.deltaRule(
            query: x[0], key: x[1], value: x[2], beta: x[3], heads: heads, scale: scale,
            decay: decay, initialState: carried)
          found += context.read(part.output)
          carried = part.finalState
        }
        done += count
      }
      #expect(relativeError(found, context.readDoubles(output)) < 2e-6, "\(name), \(test)")
      #expect(relativeError(context.read(carried), context.readDoubles(final)) < 2e-6, "\(name)")
    }
  }

  @Test(arguments: DeltaRuleCase.decays)
  func stepsOfManyDocumentsEqualTheRecurrence(decay: LinearAttentionCase.Decay) throws {
    let test = DeltaRuleCase(
      attention: LinearAttentionCase(
        documents: [Int](repeating: 1, count: 9), dim: 40, width: 33, heads: 4, decay: decay))
    for (name, context) in try cpuVariants() {
      let inputs = test.inputs(context, .f32)
      let (output, final) = test.run(context, inputs)
      let x = inputs.map(\.value)
      let stepped = context.deltaRuleStep(
        query: x[0], key: x[1], value: x[2], beta: x[x.count - 1], heads: 4,
        scale: test.attention.scale, decay: test.attention.decay(x), state: x[3])
      #expect(
        relativeError(context.read(stepped), context.readDoubles(output)) < 1e-6, "\(name)")
      #expect(relativeError(context.read(x[3]), context.readDoubles(final)) < 1e-6, "\(name)")
    }
  }

  @Test func decaysAtTheirBoundsStayFinite() throws {
    let test = DeltaRuleCase(
      attention: LinearAttentionCase(documents: [130], dim: 8, width: 8, heads: 2, decay: .vector))
    for (name, context) in try cpuVariants() {
      for bound in [-Float.infinity, -1e30, 0] {
        var parameters = test.inputs(context, .f32)
        parameters[4] = Parameter(
          "g", context.tensor([Float](repeating: bound, count: 130 * 16), [130, 16]))
        for parameter in parameters { parameter.isTrainable = true }
        context.recording { test.loss(context, parameters) }
        for parameter in parameters {
          let numbers = parameter.gradient.map(context.read) ?? [.nan]
          #expect(numbers.allSatisfy { $0.isFinite }, "\(name), \(parameter.name)")
        }
      }
    }
  }

  @Test func resultsAreTheSameFromRunToRun() throws {
    for decay in DeltaRuleCase.decays {
      let test = DeltaRuleCase(
        attention: LinearAttentionCase(
          documents: [300, 33], dim: 20, width: 24, heads: 1, decay: decay))
      for threads in [1, 2, 3] {
        let context = try Context(device: .cpu(threads: threads))
        let first = results(context, test, .f32)
        for _ in 0..<3 { #expect(results(context, test, .f32) == first) }
      }
    }
  }
}
