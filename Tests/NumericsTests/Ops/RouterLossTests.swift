import Glibc
import Numerics
import TestSupport
import Testing

@Suite struct RouterLossTests {
  @Test(arguments: [(1, 2, 1), (9, 5, 2), (40, 16, 4)])
  func gradientsAgreeWithCentralDifferences(tokens: Int, experts: Int, topK: Int) throws {
    let context = try Context()
    let logits = Parameter("l", context.randomTensor([tokens, experts], .f64, seed: 1))
    let error = gradientDisagreement(context, [logits]) { context in
      let routing = context.route(
        logits.tensor, topK: topK, combination: .renormalizedSoftmax(scale: 1))
      return context.weightedSum([
        (1, context.loadBalanceLoss(routing, experts: experts, topK: topK)),
        (0.7, context.routerZLoss(logits.tensor)), (1, context.probe(routing.weights_TK)),
      ])
    }
    #expect(error < 1e-7)
  }

  @Test func loadBalanceIsOneWhenBalancedAndPushesOtherwise() throws {
    let context = try Context()
    let even = context.route(
      context.tensor([1.0, 0, 0, 1], [2, 2]), topK: 1, combination: .softmax(scale: 1))
    #expect(abs(context.readScalar(context.loadBalanceLoss(even, experts: 2, topK: 1)) - 1) < 1e-14)

    let logits = Parameter("l", context.tensor([2.0, 0, 1, 0, 3, 0], [3, 2]), isTrainable: true)
    let loss = context.recording {
      let routing = context.route(logits.tensor, topK: 1, combination: .softmax(scale: 1))
      return context.loadBalanceLoss(routing, experts: 2, topK: 1)
    }
    #expect(context.readScalar(loss) > 1.5)
    let gradient = logits.gradient.map(context.readDoubles) ?? []
    // Descent lowers the crowded expert's logits and raises the idle one's.
    for token in 0..<3 {
      #expect(gradient[2 * token] > 1e-3 && gradient[2 * token + 1] < -1e-3)
    }
  }

  @Test func zLossFollowsTheDefinition() throws {
    let context = try Context()
    let loss = context.readScalar(context.routerZLoss(context.tensor([0.0, 0, 1, 2], [2, 2])))
    let first: Double = log(2.0)
    let second: Double = log(exp(1.0) + exp(2.0))
    let expected: Double = (first * first + second * second) / 2
    #expect(abs(loss - expected) < 1e-14)
  }

  @Test func everyInstructionSetAgreesWithDouble() throws {
    for (name, context) in try cpuVariants() {
      func run(_ dtype: DType) -> [[Double]] {
        let logits = Parameter("l", context.randomTensor([600, 70], dtype, seed: 2))
        logits.isTrainable = true
        let loss = context.recording {
          let routing = context.route(logits.tensor, topK: 3, combination: .softmax(scale: 1))
          return context.weightedSum([
            (1, context.loadBalanceLoss(routing, experts: 70, topK: 3)),
            (0.1, context.routerZLoss(logits.tensor)),
          ])
        }
        return [context.readDoubles(loss), logits.gradient.map(context.readDoubles) ?? []]
      }
      for (single, reference) in zip(run(.f32), run(.f64)) {
        #expect(relativeError(single, reference) < 2e-6, "\(name)")
      }
    }
  }

  @Test func selectionBiasMovesAgainstTheCounts() throws {
    let context = try Context()
    let bias = context.tensor([0.5, 0.5, 0.5, 0.5], [4])
    let counts: [Int32] = [0, 3, 2, 3]
    context.updateSelectionBias(bias, counts: context.tensor(counts, [4]), rate: 0.25)
    #expect(context.readDoubles(bias) == [0.75, 0.25, 0.5, 0.25])
    let even = context.tensor([0.5, -0.5], [2], .f32)
    context.updateSelectionBias(even, counts: context.tensor([7, 7] as [Int32], [2]), rate: 0.25)
    #expect(context.read(even) == [0.5, -0.5])
  }

  @Test func selectionBiasUpdatesBalanceASkewedRouter() throws {
    let context = try Context()
    let logits = context.randomTensor([512, 8], .f32, seed: 3)
    let push = (0..<4096).map { index in index % 8 == 0 ? Float(1) : 0 }
    let skewed = context.add(logits, context.tensor(push, [512, 8]))
    let bias = context.zeros([8])
    func counts() -> [Int32] {
      let routing = context.route(
        skewed, selectionBias: bias, topK: 2, combination: .softmax(scale: 1))
      context.updateSelectionBias(bias, counts: routing.counts_E, rate: 0.02)
      return context.readIntegers(routing.counts_E)
    }
    let before = counts()
    for _ in 0..<100 { _ = counts() }
    let after = counts()
    #expect((before.max() ?? 0) > 300)
    #expect((after.max() ?? 0) < 160 && (after.min() ?? 0) > 96)
  }
}
