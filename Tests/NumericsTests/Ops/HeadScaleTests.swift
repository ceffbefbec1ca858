import Numerics
import TestSupport
import Testing

@Suite struct HeadScaleTests {
  /// Tokens, heads, channels, experts, top-k; every third head is shared.
  private static let sizes = [
    (1, 1, 1, 1, 1), (7, 6, 5, 3, 2), (65, 9, 4, 6, 6), (63, 12, 32, 4, 3),
  ]

  private func experts(_ heads: Int, _ experts: Int) -> [Int32] {
    (0..<heads).map { $0 % 3 == 2 ? -1 : Int32($0 % experts) }
  }

  @Test(arguments: sizes)
  func gradientsAgreeWithCentralDifferences(
    tokens: Int, heads: Int, dim: Int, experts: Int, topK: Int
  ) throws {
    let context = try Context()
    let x = Parameter("x", context.randomTensor([tokens, heads * dim], .f64, seed: 1))
    let logits = Parameter("l", context.randomTensor([tokens, experts], .f64, seed: 2))
    let owners = context.tensor(self.experts(heads, experts), [heads])
    let error = gradientDisagreement(context, [x, logits]) { context in
      let routing = context.route(
        logits.tensor, topK: topK, combination: .softmax(scale: Double(experts)))
      return context.probe(context.scaleHeads(x.tensor, routing, expertOfHead: owners))
    }
    #expect(error < 1e-7)
  }

  @Test(arguments: sizes)
  func everyHeadHasItsExpertsWeight(
    tokens: Int, heads: Int, dim: Int, experts: Int, topK: Int
  ) throws {
    let owners = self.experts(heads, experts)
    for (name, context) in try cpuVariants() {
      let x = context.randomTensor([tokens, heads * dim], .f32, seed: 3)
      let routing = context.route(
        context.randomTensor([tokens, experts], .f32, seed: 4), topK: topK,
        combination: .renormalizedSoftmax(scale: 2))
      let y = context.read(
        context.scaleHeads(x, routing, expertOfHead: context.tensor(owners, [heads])))
      let (chosen, weights) = (
        context.readIntegers(routing.experts_TK), context.read(routing.weights_TK)
      )
      var expected = context.read(x)
      for index in expected.indices {
        let (token, owner) = (index / (heads * dim), owners[index / dim % heads])
        let slots = token * topK..<(token + 1) * topK
        expected[index] *=
          owner < 0 ? 1 : slots.first { chosen[$0] == owner }.map { weights[$0] } ?? 0
      }
      #expect(y == expected, "\(name)")
    }
  }
}
