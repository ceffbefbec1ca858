import Numerics
import TestSupport
import Testing

@Suite struct SigmoidGateTests {
  @Test(arguments: [(1, 1), (5, 7), (130, 64)])
  func gradientsAgreeWithCentralDifferences(rows: Int, columns: Int) throws {
    let context = try Context()
    let x = Parameter("x", context.randomTensor([rows, columns], .f64, seed: 1))
    let scores = Parameter("s", context.randomTensor([rows, 1], .f64, seed: 2))
    let error = gradientDisagreement(context, [x, scores]) { context in
      context.probe(context.sigmoidGate(x.tensor, scores: scores.tensor))
    }
    #expect(error < 1e-7)
  }

  @Test func aZeroScoreHalvesExactly() throws {
    for (name, context) in try cpuVariants() {
      let x = context.randomTensor([3, 40], .f32, seed: 3)
      let y = context.sigmoidGate(x, scores: context.zeros([3]))
      #expect(context.read(y) == context.read(x).map { $0 / 2 }, "\(name)")
    }
  }
}
