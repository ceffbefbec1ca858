import Glibc
import Numerics
import TestSupport
import Testing

/// The sizes of published models, against the operator's own step: what a step does,
/// ``LinearAttentionTests`` compares with the recurrence in Double.
@Suite struct LinearAttentionSizeTests {
  private typealias Case = LinearAttentionCase

  private static let cases: [LinearAttentionCase] = {
    let sizes: [(documents: [Int], dim: Int, width: Int, heads: Int)] = [
      ([1], 128, 128, 8), ([63], 64, 96, 12), ([64], 96, 64, 20), ([65], 64, 64, 32),
      ([127], 256, 128, 8), ([500], 64, 64, 8), ([513], 128, 128, 2), ([913], 192, 96, 1),
      ([1213], 96, 64, 2), ([2048], 64, 128, 2), ([127, 1, 0, 65], 256, 256, 1),
      ([66], 32, 16, 64),
    ]
    return sizes.enumerated().flatMap { index, size in
      Case.Decay.allCases.map { decay in
        Case(
          documents: size.documents, dim: size.dim, width: size.width, heads: size.heads,
          decay: decay, hasState: index % 3 != 1, seed: UInt64(index + 30))
      }
    }
  }()

  /// Output and final state, a step after the other.
  private func stepped(_ context: Context, _ test: LinearAttentionCase) -> [[Double]] {
    let inputs = test.inputs(context, .f64).map(\.value)
    let output = context.empty([test.tokens, test.heads * test.width], .f64)
    let states = context.zeros(test.stateShape, .f64)
    if test.hasState { context.copy(inputs[3], into: states) }
    var row = 0
    for (document, length) in test.documents.enumerated() {
      let state = states.slice(document..<document + 1)
      for _ in 0..<length {
        let rows = row..<row + 1
        let y = context.linearAttentionStep(
          query: inputs[0].slice(rows), key: inputs[1].slice(rows), value: inputs[2].slice(rows),
          heads: test.heads, scale: test.scale, decay: test.decay(inputs, rows), state: state)
        context.copy(y, into: output.slice(rows))
        row += 1
      }
    }
    return [context.readDoubles(output), context.readDoubles(states)]
  }

  @Test(arguments: cases)
  func blocksEqualSteps(test: LinearAttentionCase) throws {
    let expected = stepped(try Context(device: .cpu(threads: 1)), test)
    func results(_ context: Context, _ dtype: DType) -> [[Double]] {
      let (output, state) = test.attention(context, test.inputs(context, dtype))
      return [context.readDoubles(output), context.readDoubles(state)]
    }
    for (a, b) in zip(results(try Context(device: .cpu(threads: 2)), .f64), expected) {
      #expect(relativeError(a, b) < 1e-12)
    }
    for (name, context) in try cpuVariants() {
      for (a, b) in zip(results(context, .f32), expected) {
        #expect(relativeError(a, b) < 1e-5, "\(name)")
      }
    }
  }

  /// With gradients of the outputs and of the final states, all random.
  @Test(arguments: cases.filter { $0.tokens < 600 && $0.decay != .extreme })
  func gradientsAgreeWithCentralDifferences(test: LinearAttentionCase) throws {
    let context = try Context(device: .cpu(threads: 2))
    let parameters = test.inputs(context, .f64)
    // Hundreds of tokens multiply a change of a slope: a difference needs a smaller step.
    let step = test.decay == .constant ? 1e-6 : 1e-5
    let error = gradientDisagreement(context, parameters, directions: 1, step: step) { context in
      test.loss(context, parameters)
    }
    #expect(error < 1e-6)
  }

  /// Every published family of slopes, in the first layer and in the last, whose slopes may be 1e-5 of a
  /// head's.
  @Test(arguments: DecaySlopes.allCases, [8, 12, 40])
  func publishedSlopesGiveTheRecurrence(family: DecaySlopes, heads: Int) throws {
    let context = try Context(device: .cpu(threads: 2))
    let tokens = 150
    for layer in [0, 23] {
      let slopes = family.values(heads: heads, layer: layer, layers: 24)
      let x = [1, 2, 3].map { context.randomTensor([tokens, heads * 2], .f64, seed: $0) }
      let (output, final) = context.linearAttention(
        query: x[0], key: x[1], value: x[2], heads: heads, scale: 1,
        decay: .constant(slopes_H: context.tensor(slopes, [heads])))
      let (q, k, v) = (
        context.readDoubles(x[0]), context.readDoubles(x[1]), context.readDoubles(x[2])
      )
      var state = [Double](repeating: 0, count: heads * 4)
      var expected = [Double](repeating: 0, count: q.count)
      for t in 0..<tokens {
        for i in 0..<heads * 4 {
          let (row, column) = (i / 2, i / 4 * 2 + i % 2)
          let kept = exp(-slopes[i / 4]) * state[i]
          state[i] = kept + k[t * heads * 2 + row] * v[t * heads * 2 + column]
          expected[t * heads * 2 + column] += q[t * heads * 2 + row] * state[i]
        }
      }
      #expect(relativeError(context.readDoubles(output), expected) < 1e-13)
      #expect(relativeError(context.readDoubles(final), state) < 1e-13)
    }
  }

  /// A draft is checked in one pass from a state that stays as it is; what is accepted of it is then
  /// added in another.
  @Test(arguments: LinearAttentionCase.Decay.allCases)
  func checkingADraftEqualsSteps(decay kind: LinearAttentionCase.Decay) throws {
    let test = Case(documents: [9], dim: 24, width: 17, heads: 3, decay: kind)
    for (name, context) in try cpuVariants() {
      let inputs = test.inputs(context, .f32).map(\.value)
      let before = context.read(inputs[3])
      func pass(_ rows: Range<Int>) -> (output: Tensor, finalState: Tensor) {
        context.linearAttention(
          query: inputs[0].slice(rows), key: inputs[1].slice(rows), value: inputs[2].slice(rows),
          heads: 3, scale: test.scale, decay: test.decay(inputs, rows), initialState: inputs[3])
      }
      let draft = pass(0..<9).output
      #expect(context.read(inputs[3]) == before, "\(name)")
      for accepted in [1, 4, 9] {
        let state = context.zeros(inputs[3].shape)
        context.copy(inputs[3], into: state)
        for t in 0..<accepted {
          let rows = t..<t + 1
          let y = context.linearAttentionStep(
            query: inputs[0].slice(rows), key: inputs[1].slice(rows),
            value: inputs[2].slice(rows), heads: 3, scale: test.scale,
            decay: test.decay(inputs, rows), state: state)
          let error = relativeError(context.read(draft.slice(rows)), context.readDoubles(y))
          #expect(error < 2e-6, "\(name), token \(t)")
        }
        let committed = context.read(pass(0..<accepted).finalState)
        #expect(relativeError(committed, context.readDoubles(state)) < 2e-6, "\(name)")
      }
    }
  }
}

/// A sequence in uneven parts that know of each other only their states' sums and decays, as ranks of a
/// context-parallel run do.
@Suite struct LinearAttentionPartTests {
  private static let parts = [1, 63, 200, 0, 37, 64]

  /// One part's results and gradients, given what comes from the parts before and behind.
  private struct Part {
    var output: [Double] = []
    var final: [Double] = []
    var gradients: [[Double]] = []
    /// What is left of each number of a state after the part.
    var kept: [Double] = []
  }

  @Test(arguments: LinearAttentionCase.Decay.allCases)
  func partsEqualTheWhole(decay kind: LinearAttentionCase.Decay) throws {
    let context = try Context(device: .cpu(threads: 2))
    let test = LinearAttentionCase(
      documents: [Self.parts.reduce(0, +)], dim: 5, width: 7, heads: 3, decay: kind)
    let inputs = test.inputs(context, .f64)
    let upstream = context.readDoubles(
      context.randomTensor([test.tokens, 21], .f64, seed: 70))
    let dFinal = context.readDoubles(context.randomTensor([1, 3, 5, 7], .f64, seed: 71))
    let stateCount = 3 * 5 * 7

    func run(_ rows: Range<Int>, state: [Double], dState: [Double]) -> Part {
      let own = (0..<inputs.count).map { index -> Parameter in
        if index == 3 {
          return Parameter("state", context.tensor(state, [1, 3, 5, 7]), isTrainable: true)
        }
        let isWhole = index == 4 && (kind == .constant || kind == .elementwise)
        let value = isWhole ? inputs[index].value : inputs[index].value.slice(rows)
        return Parameter("\(index)", value, isTrainable: true)
      }
      var part = Part()
      context.recording {
        let (output, final) = context.linearAttention(
          query: own[0].tensor, key: own[1].tensor, value: own[2].tensor, heads: 3,
          scale: test.scale, decay: test.decay(own.map(\.tensor)), initialState: own[3].tensor)
        (part.output, part.final) = (context.readDoubles(output), context.readDoubles(final))
        func weighted(_ y: Tensor, _ weights: [Double]) -> Tensor {
          context.linear(
            y.reshaped([1, y.count]), weight: context.tensor(weights, [1, y.count])
          ).reshaped([])
        }
        let fromState = weighted(final, dState)
        guard !rows.isEmpty else { return fromState }
        return context.weightedSum([
          (1, weighted(output, Array(upstream[rows.lowerBound * 21..<rows.upperBound * 21]))),
          (1, fromState),
        ])
      }
      part.gradients = own.map { $0.gradient.map(context.readDoubles) ?? [] }
      let logs = own.dropFirst(4).map { context.readDoubles($0.value) }
      part.kept = (0..<stateCount).map { place in
        let (channel, column) = (place / 7, place / 35 * 7 + place % 7)
        return exp(
          (0..<rows.count).reduce(0) { sum, t in
            switch kind {
            case .none: sum
            case .constant: sum - logs[0][channel / 5]
            case .vector, .extreme: sum + logs[0][t * 15 + channel]
            case .outer: sum + logs[0][t * 15 + channel] + logs[1][t * 21 + column]
            case .elementwise: sum - exp(logs[0][place]) * logs[1][t * 21 + column]
            }
          })
      }
      return part
    }
    func carried(_ state: [Double], through kept: [Double], plus local: [Double]) -> [Double] {
      state.indices.map { kept[$0] * state[$0] + local[$0] }
    }

    let zeros = [Double](repeating: 0, count: stateCount)
    let start = context.readDoubles(inputs[3].value)
    let whole = run(0..<test.tokens, state: start, dState: dFinal)
    var bounds = [0]
    for part in Self.parts { bounds.append((bounds.last ?? 0) + part) }
    let ranges = zip(bounds, bounds.dropFirst()).map { $0..<$1 }
    // Alone, every part knows its own sum of states and the gradient it sends back.
    let alone = ranges.map { run($0, state: zeros, dState: zeros) }
    var (states, state) = ([[Double]](), start)
    for part in alone {
      states.append(state)
      state = carried(state, through: part.kept, plus: part.final)
    }
    #expect(relativeError(state, whole.final) < 1e-12)
    var (pulls, pull) = ([[Double]](), dFinal)
    for part in alone.reversed() {
      pulls.insert(pull, at: 0)
      pull = carried(pull, through: part.kept, plus: part.gradients[3])
    }
    #expect(relativeError(pull, whole.gradients[3]) < 1e-12)
    let together = ranges.indices.map { run(ranges[$0], state: states[$0], dState: pulls[$0]) }
    #expect(relativeError(together.flatMap(\.output), whole.output) < 1e-12)
    for index in whole.gradients.indices where index != 3 {
      let parts = together.map { $0.gradients[index] }
      let found =
        index == 4 && (kind == .constant || kind == .elementwise)
        ? whole.gradients[index].indices.map { place in
          parts.reduce(0) { $0 + ($1.isEmpty ? 0 : $1[place]) }
        }
        : parts.flatMap { $0 }
      #expect(relativeError(found, whole.gradients[index]) < 1e-11, "input \(index)")
    }
  }
}
