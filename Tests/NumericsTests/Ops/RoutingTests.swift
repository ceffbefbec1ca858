import Glibc
import Numerics
import TestSupport
import Testing

@Suite struct RoutingTests {
  static let combinations: [Combination] = [
    .renormalizedSoftmax(scale: 4), .softmax(scale: 1.5), .gained, .uniform(weight: 0.5),
    .sigmoid(scale: 2), .renormalizedSigmoid(scale: 2.5),
  ]

  @Test(arguments: combinations, [(1, 1, 1), (7, 5, 2), (33, 17, 17)])
  func gradientsAgreeWithCentralDifferences(
    combination: Combination, size: (tokens: Int, experts: Int, topK: Int)
  ) throws {
    let context = try Context()
    let logits = Parameter("l", context.randomTensor([size.tokens, size.experts], .f64, seed: 1))
    let gain = Parameter("u", context.randomTensor([size.experts], .f64, seed: 2))
    let bias = context.randomTensor([size.experts], .f64, seed: 3)
    let error = gradientDisagreement(context, [logits, gain]) { context in
      let routing = context.route(
        logits.tensor, selectionBias: bias, topK: size.topK, combination: combination,
        gain: gain.tensor)
      return context.weightedSum([
        (1, context.probe(routing.weights_TK)),
        (1, context.probe(routing.probabilities_TE, seed: 5)),
      ])
    }
    #expect(error < 1e-7)
  }

  @Test(arguments: combinations) func weightsFollowTheDefinition(combination: Combination) throws {
    let context = try Context()
    let (tokens, experts, topK) = (50, 12, 3)
    let logits = context.randomTensor([tokens, experts], .f64, seed: 4)
    let gain = context.randomTensor([experts], .f64, seed: 5)
    let routing = context.route(logits, topK: topK, combination: combination, gain: gain)
    let (u, all) = (context.readDoubles(gain), context.readDoubles(logits))
    var (ids, weights) = ([Int32](), [Double]())
    var counts = [Int32](repeating: 0, count: experts)
    for t in 0..<tokens {
      let row = Array(all[t * experts..<(t + 1) * experts])
      let chosen = row.indices.sorted { row[$0] > row[$1] }.prefix(topK)
      let total = row.reduce(0) { $0 + exp($1) }
      let kept = chosen.reduce(0) { $0 + exp(row[$1]) }
      let sigmoids = row.map { 1 / (1 + exp(-$0)) }
      let keptSigmoids = chosen.reduce(0) { $0 + sigmoids[$1] }
      for e in chosen {
        ids.append(Int32(e))
        counts[e] += 1
        switch combination {
        case .renormalizedSoftmax(let scale): weights.append(scale * exp(row[e]) / kept)
        case .softmax(let scale): weights.append(scale * exp(row[e]) / total)
        case .gained: weights.append(1 + exp(row[e]) / total * u[e])
        case .uniform(let weight): weights.append(weight)
        case .sigmoid(let scale): weights.append(scale * sigmoids[e])
        case .renormalizedSigmoid(let scale): weights.append(scale * sigmoids[e] / keptSigmoids)
        }
      }
    }
    #expect(context.readIntegers(routing.experts_TK) == ids)
    #expect(context.readIntegers(routing.counts_E) == counts)
    #expect(relativeError(context.readDoubles(routing.weights_TK), weights) < 1e-13)
  }

  @Test func tiesGoToTheLowerIdAndBiasOnlySelects() throws {
    let context = try Context()
    let logits = context.tensor([0.0, 1, 1, 0, 1], [1, 5])
    let rule = Combination.softmax(scale: 1)
    let tied = context.route(logits, topK: 4, combination: rule)
    #expect(context.readIntegers(tied.experts_TK) == [1, 2, 4, 0])
    let bias = context.tensor([0.0, 0, 0, 9, 0], [5])
    let biased = context.route(logits, selectionBias: bias, topK: 2, combination: rule)
    #expect(context.readIntegers(biased.experts_TK) == [3, 1])
    #expect(
      context.readDoubles(biased.probabilities_TE) == context.readDoubles(tied.probabilities_TE))
    #expect(
      context.readDoubles(biased.weights_TK)[0] == context.readDoubles(tied.probabilities_TE)[3])
  }

  @Test func sigmoidsAreChosenByScorePlusBiasAndTheirSharesSumToOne() throws {
    let context = try Context()
    // By logit plus bias expert 0 would win: 5 against 4.1. By sigmoid plus bias expert 1 does.
    let logits = context.tensor([5.0, 4, -800], [1, 3])
    let bias = context.tensor([0, 0.1, 0], [3], .f64)
    let routing = context.route(
      logits, selectionBias: bias, topK: 1, combination: .sigmoid(scale: 1))
    #expect(context.readIntegers(routing.experts_TK) == [1])
    #expect(abs(context.readDoubles(routing.weights_TK)[0] - 1 / (1 + exp(-4))) < 1e-15)
    #expect(abs(context.readDoubles(routing.probabilities_TE).reduce(0, +) - 1) < 1e-15)
    let vanishing = context.route(
      context.tensor([-800.0, -900], [1, 2]), topK: 2, combination: .renormalizedSigmoid(scale: 1))
    #expect(context.readDoubles(vanishing.weights_TK).allSatisfy { $0 == 0 })
  }

  @Test func logitsThatAreNotNumbersStillChooseDistinctExperts() throws {
    let context = try Context()
    let logits = context.tensor([Double](repeating: .nan, count: 6), [1, 6])
    let routing = context.route(logits, topK: 3, combination: .softmax(scale: 1))
    #expect(context.readIntegers(routing.experts_TK) == [0, 1, 2])
  }

  @Test(arguments: combinations)
  func everyInstructionSetAgreesWithDouble(combination: Combination) throws {
    for (name, context) in try cpuVariants() {
      func run(_ dtype: DType) -> [[Double]] {
        let logits = Parameter("l", context.randomTensor([999, 33], dtype, seed: 6))
        let gain = Parameter("u", context.randomTensor([33], dtype, seed: 7))
        logits.isTrainable = true
        gain.isTrainable = combination == .gained
        var values: [[Double]] = []
        context.recording {
          let routing = context.route(
            logits.tensor, topK: 5, combination: combination, gain: gain.tensor)
          values = [routing.weights_TK, routing.probabilities_TE].map(context.readDoubles)
          values.append(context.readIntegers(routing.experts_TK).map(Double.init))
          return context.weightedSum([
            (1, context.probe(routing.weights_TK)),
            (1, context.probe(routing.probabilities_TE, seed: 5)),
          ])
        }
        return values + [logits, gain].map { $0.gradient.map(context.readDoubles) ?? [0] }
      }
      for (single, reference) in zip(run(.f32), run(.f64)) {
        #expect(relativeError(single, reference) < 3e-6, "\(name)")
      }
    }
  }

  @Test func dispatchSortsSlotsStably() throws {
    let context = try Context()
    let (tokens, experts, topK) = (300, 9, 2)
    let logits = context.randomTensor([tokens, experts], .f64, seed: 8)
    // Expert 4 gets nothing, expert 7 everything.
    let bias = context.tensor([0.0, 0, 0, 0, -9, 0, 0, 9, 0], [experts])
    let routing = context.route(
      logits, selectionBias: bias, topK: topK, combination: .uniform(weight: 1))
    let dispatch = context.dispatch(routing, experts: experts)
    let chosen = context.readIntegers(routing.experts_TK)
    let expected = chosen.indices.sorted { (chosen[$0], $0) < (chosen[$1], $1) }
    #expect(context.readIntegers(dispatch.order) == expected.map(Int32.init))
    let offsets = context.readIntegers(dispatch.offsets)
    #expect(offsets[5] == offsets[4] && offsets[8] - offsets[7] == tokens)
    #expect(
      zip(offsets.dropFirst(), offsets).map { $0 - $1 } == context.readIntegers(routing.counts_E))
  }
}
