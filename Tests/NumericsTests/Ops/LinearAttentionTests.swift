import Numerics
import TestSupport
import Testing

@Suite struct LinearAttentionTests {
  private typealias Case = LinearAttentionCase

  /// Lengths about a block of 64, head sizes up to 256, slopes from none to steep, packed documents.
  private static let cases: [LinearAttentionCase] = {
    let sizes: [(documents: [Int], dim: Int, width: Int, heads: Int)] = [
      ([1], 64, 96, 2), ([63], 96, 64, 1), ([64], 128, 16, 2), ([65], 192, 16, 1),
      ([127], 16, 256, 1), ([70], 256, 33, 1), ([500], 16, 24, 2), ([513], 16, 16, 4),
      ([913], 16, 16, 1), ([1213], 20, 12, 1), ([2048], 8, 16, 1), ([5], 16, 16, 64),
      ([66], 5, 7, 12), ([7], 16, 17, 20), ([0, 1, 63, 0, 64, 65, 1, 130, 0], 16, 24, 3),
      ([300, 2, 700], 12, 16, 1),
    ]
    return sizes.enumerated().flatMap { index, size in
      Case.Decay.allCases.map { decay in
        Case(
          documents: size.documents, dim: size.dim, width: size.width, heads: size.heads,
          decay: decay, hasState: index % 3 != 1, seed: UInt64(index + 1))
      }
    }
  }()

  private func results(_ context: Context, _ test: LinearAttentionCase, _ dtype: DType)
    -> [[Double]]
  {
    context.probedResults(of: test.inputs(context, dtype)) { test.attention(context, $0) }
  }

  private func expected(_ context: Context, _ test: LinearAttentionCase) -> [[Double]] {
    let inputs = test.inputs(context, .f64).map { context.readDoubles($0.value) }
    func weights(_ count: Int, _ seed: UInt64) -> [Double] {
      context.readDoubles(context.randomTensor([1, count], .f64, seed: seed))
    }
    return test.naive(
      inputs, dOutput: weights(inputs[2].count, 99), dFinal: weights(inputs[3].count, 98))
  }

  /// Compares all results; a decay's gradient, a difference of sums, against the size of what it is
  /// the difference of.
  private func expectAgreement(
    _ found: [[Double]], _ expected: [[Double]], _ test: LinearAttentionCase, _ tolerance: Double,
    _ name: String
  ) {
    let size = (expected.dropFirst(2).flatMap { $0 }.reduce(0) { max($0, abs($1)) })
    for (index, (a, b)) in zip(found, expected).enumerated() where !b.isEmpty {
      if index >= 6 {
        let isSummed = test.decay == .constant || (test.decay == .elementwise && index == 6)
        let tokens = isSummed ? max(1, test.tokens) : 1
        let worst = zip(a, b).map { abs($0 - $1) }.max() ?? 0
        let floor = size * Double(tokens) * Double(max(test.dim, test.width)).squareRoot()
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
  func equalsTheRecurrence(test: LinearAttentionCase) throws {
    let reference = expected(try Context(), test)
    for threads in [1, 3] {
      let context = try Context(device: .cpu(threads: threads), poisoned: true)
      let found = results(context, test, .f64)
      expectAgreement(found, reference, test, 1e-12, "\(threads) threads")
    }
  }

  @Test(arguments: cases)
  func everyInstructionSetAgreesWithDouble(test: LinearAttentionCase) throws {
    let reference = results(try Context(), test, .f64)
    for (name, context) in try cpuVariants() {
      expectAgreement(results(context, test, .f32), reference, test, 5e-6, name)
    }
  }

  @Test(arguments: cases.filter { $0.tokens < 200 && $0.decay != .extreme })
  func gradientsAgreeWithCentralDifferences(test: LinearAttentionCase) throws {
    let context = try Context(device: .cpu(threads: 2))
    let parameters = test.inputs(context, .f64)
    let error = gradientDisagreement(context, parameters, directions: 2) { context in
      test.loss(context, parameters)
    }
    #expect(error < 1e-6)
  }

  @Test func onlyOneOfTheOutputsMayBeUsed() throws {
    let context = try Context(device: .cpu(threads: 2))
    for decay in [Case.Decay.constant, .vector, .outer, .elementwise] {
      let test = Case(documents: [70, 3], dim: 5, width: 6, heads: 2, decay: decay)
      let parameters = test.inputs(context, .f64)
      for usesState in [false, true] {
        let error = gradientDisagreement(context, parameters) { context in
          let (output, state) = test.attention(context, parameters)
          return context.probe(usesState ? state : output)
        }
        #expect(error < 1e-6)
      }
    }
  }

  @Test func documentsWithoutTokensHandTheirStateOn() throws {
    let context = try Context()
    for decay in Case.Decay.allCases {
      let inputs = Case(documents: [0, 0], dim: 4, width: 3, heads: 2, decay: decay)
      let parameters = inputs.inputs(context, .f64)
      parameters[3].isTrainable = true
      context.recording {
        let (output, final) = inputs.attention(context, parameters)
        #expect(output.shape == [0, 6])
        #expect(context.readDoubles(final) == context.readDoubles(parameters[3].value))
        return context.probe(final)
      }
      let weights = context.readDoubles(context.randomTensor([1, 48], .f64, seed: 99))
      #expect(parameters[3].gradient.map(context.readDoubles) == weights)
      let none = Case(documents: [], dim: 4, width: 3, heads: 2, decay: decay)
      #expect(none.attention(context, none.inputs(context, .f64)).finalState.shape == [0, 2, 4, 3])
    }
  }

  @Test func oneTensorMayBeQueryKeyAndValue() throws {
    let context = try Context()
    let x = Parameter("x", context.randomTensor([70, 12], .f64, seed: 4))
    let error = gradientDisagreement(context, [x]) { context in
      context.probe(
        context.linearAttention(
          query: x.tensor, key: x.tensor, value: x.tensor, heads: 3, scale: 0.5
        ).output)
    }
    #expect(error < 1e-6)
  }

  /// Packed documents, and a document cut anywhere into prefills and steps, give what the whole gives.
  @Test(arguments: 1...15 as ClosedRange<UInt64>)
  func anyCutGivesTheSame(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let decay = Case.Decay.allCases[Int(seed) % Case.Decay.allCases.count]
    let documents = (0..<Int.random(in: 1...4, using: &random)).map { _ in
      Int.random(in: 0...200, using: &random)
    }
    let test = Case(
      documents: documents, dim: Int.random(in: 1...40, using: &random),
      width: Int.random(in: 1...40, using: &random), heads: Int.random(in: 1...3, using: &random),
      decay: decay, seed: seed)
    for (name, context) in try cpuVariants() {
      let inputs = test.inputs(context, .f32).map(\.value)
      let (output, final) = test.attention(context, test.inputs(context, .f32))
      var (found, states): ([Float], [Float]) = ([], [])
      var start = 0
      for (document, length) in documents.enumerated() {
        let state = context.zeros([1] + test.stateShape.dropFirst())
        context.copy(inputs[3].slice(document..<document + 1), into: state)
        var carried = state
        var done = 0
        while done < length {
          let count = min(length - done, [1, 1, 5, 64, 77].randomElement(using: &random) ?? 1)
          let rows = start + done..<start + done + count
          let (q, k, v) = (inputs[0].slice(rows), inputs[1].slice(rows), inputs[2].slice(rows))
          if count == 1 {
            found += context.read(
              context.linearAttentionStep(
                query: q, key: k, value: v, heads: test.heads, scale: test.scale,
                decay: test.decay(inputs, rows), state: carried))
          } else {
            let part = context.linearAttention(
              query: q, key: k, value: v, heads: test.heads, scale: test.scale,
              decay: test.decay(inputs, rows), initialState: carried)
            found += context.read(part.output)
            carried = part.finalState
          }
          done += count
        }
        states += context.read(carried)
        start += length
      }
      if test.tokens > 0 {
        #expect(relativeError(found, context.readDoubles(output)) < 2e-6, "\(name), \(test)")
      }
      #expect(relativeError(states, context.readDoubles(final)) < 2e-6, "\(name), \(test)")
    }
  }

  /// A batch of documents goes on token by token, each from its own state.
  @Test(arguments: LinearAttentionCase.Decay.allCases)
  func stepsOfManyDocumentsEqualTheRecurrence(decay: LinearAttentionCase.Decay) throws {
    let test = Case(
      documents: [Int](repeating: 1, count: 9), dim: 40, width: 33, heads: 4, decay: decay)
    for (name, context) in try cpuVariants() {
      let inputs = test.inputs(context, .f32)
      let (output, final) = test.attention(context, inputs)
      let state = inputs[3].value
      let stepped = context.linearAttentionStep(
        query: inputs[0].value, key: inputs[1].value, value: inputs[2].value, heads: test.heads,
        scale: test.scale, decay: test.decay(inputs.map(\.value)), state: state)
      #expect(
        relativeError(context.read(stepped), context.readDoubles(output)) < 1e-6, "\(name)")
      #expect(relativeError(context.read(state), context.readDoubles(final)) < 1e-6, "\(name)")
    }
  }

  /// Zero keys in front leave the state empty, so that padding on the left changes nothing.
  @Test func zeroKeysInFrontChangeNothing() throws {
    let context = try Context()
    let test = Case(documents: [100], dim: 8, width: 8, heads: 2, hasState: false)
    let inputs = test.inputs(context, .f64).map(\.value)
    func padded(_ tensor: Tensor) -> Tensor {
      context.tensor(
        [Double](repeating: 0, count: 37 * tensor.columns) + context.readDoubles(tensor),
        [137, tensor.columns])
    }
    func run(_ q: Tensor, _ k: Tensor, _ v: Tensor) -> (output: Tensor, finalState: Tensor) {
      context.linearAttention(
        query: q, key: k, value: v, heads: 2, scale: 1, decay: .constant(slopes_H: inputs[4]))
    }
    let plain = run(inputs[0], inputs[1], inputs[2])
    let shifted = run(padded(inputs[0]), padded(inputs[1]), padded(inputs[2]))
    #expect(
      relativeError(
        context.readDoubles(shifted.output.slice(37..<137)), context.readDoubles(plain.output))
        < 1e-13)
    #expect(
      relativeError(
        context.readDoubles(shifted.finalState), context.readDoubles(plain.finalState)) < 1e-13)
  }

  @Test func moreDocumentsThanASixteenBitGrid() throws {
    let context = try Context(device: .cpu(threads: 2))
    let count = 70_000
    let q = context.randomTensor([count, 2], .f32, seed: 1)
    let v = context.randomTensor([count, 1], .f32, seed: 2)
    let offsets = context.tensor((0...Int32(count)).map { $0 }, [count + 1])
    let (output, _) = context.linearAttention(
      query: q, key: q, value: v, heads: 1, scale: 2, documentOffsets: offsets)
    let (queries, values) = (context.read(q), context.read(v))
    let expected = (0..<count).map { (t: Int) -> Double in
      let (x, y) = (Double(queries[2 * t]), Double(queries[2 * t + 1]))
      return 2 * (x * x + y * y) * Double(values[t])
    }
    #expect(relativeError(context.read(output), expected) < 1e-6)
  }

  @Test func decaysAtTheirBoundsStayFinite() throws {
    for (name, context) in try cpuVariants() {
      let test = Case(documents: [130], dim: 8, width: 8, heads: 2, decay: .vector)
      let inputs = test.inputs(context, .f32)
      var bounds: [(decay: LinearAttentionDecay, parameter: Parameter)] = []
      for value in [-Float.infinity, -1e30, 0] {
        let values = [Float](repeating: value, count: 130 * 16)
        let parameter = Parameter("g", context.tensor(values, [130, 16]), isTrainable: true)
        bounds.append((.vector(logDecay_TC: parameter.tensor), parameter))
        let other = Parameter("h", context.tensor(values, [130, 16]), isTrainable: true)
        let outer = LinearAttentionDecay.outer(
          logDecay_TC: parameter.tensor, valueLogDecay_TE: other.tensor)
        bounds += [(outer, parameter), (outer, other)]
      }
      for value in [Float.infinity, 1e30] {
        let parameter = Parameter("s", context.tensor([value, 0], [2]), isTrainable: true)
        bounds.append((.constant(slopes_H: parameter.tensor), parameter))
      }
      let rates = context.tensor([Float](repeating: 0, count: 128), [2, 8, 8])
      for value in [Float.infinity, 1e30, 0] {
        let steps = Parameter(
          "t", context.tensor([Float](repeating: value, count: 130 * 16), [130, 16]),
          isTrainable: true)
        bounds.append((.elementwise(step_TE: steps.tensor, logRate_KE: rates), steps))
      }
      let still = Parameter(
        "r", context.tensor([Float](repeating: -.infinity, count: 128), [2, 8, 8]),
        isTrainable: true)
      let ones = context.tensor([Float](repeating: 1, count: 130 * 16), [130, 16])
      bounds.append((.elementwise(step_TE: ones, logRate_KE: still.tensor), still))
      for (decay, parameter) in bounds {
        var outputs: [Float] = []
        context.recording {
          let (output, state) = context.linearAttention(
            query: inputs[0].tensor, key: inputs[1].tensor, value: inputs[2].tensor, heads: 2,
            scale: 1, decay: decay, initialState: inputs[3].tensor)
          outputs = context.read(output)
          return context.weightedSum([(1, context.probe(output)), (1, context.probe(state))])
        }
        let numbers = outputs + (parameter.gradient.map(context.read) ?? [.nan])
        let areFinite = numbers.allSatisfy { $0.isFinite }
        #expect(areFinite, "\(name)")
      }
    }
  }

  @Test func resultsAreTheSameFromRunToRun() throws {
    for decay in [Case.Decay.constant, .vector, .outer, .elementwise] {
      let test = Case(documents: [700, 133], dim: 20, width: 24, heads: 1, decay: decay)
      for threads in [1, 2, 3] {
        let context = try Context(device: .cpu(threads: threads))
        let first = results(context, test, .f32)
        for _ in 0..<3 { #expect(results(context, test, .f32) == first) }
      }
    }
  }
}
