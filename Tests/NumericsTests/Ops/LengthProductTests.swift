import Numerics
import TestSupport
import Testing

@Suite struct LengthProductTests {
  @Test func gradientsAgreeWithCentralDifferences() throws {
    let context = try Context()
    let a = Parameter("a", context.randomTensor([7, 12], .f64, seed: 1))
    let b = Parameter("b", context.randomTensor([7, 12], .f64, seed: 2))
    let error = gradientDisagreement(context, [a, b]) { context in
      // Used twice, so that gradients also add up.
      context.weightedSum([
        (1, context.probe(context.lengthProduct(a.tensor, b.tensor, groups: 3))),
        (0.5, context.probe(context.lengthProduct(b.tensor, a.tensor, groups: 4), seed: 3)),
      ])
    }
    #expect(error < 1e-7)
  }

  @Test func aGroupOfZerosHasLengthZeroAndFiniteGradients() throws {
    let context = try Context()
    let a = Parameter("a", context.tensor([0.0, 0, 3, 4], [1, 4]), isTrainable: true)
    let b = Parameter("b", context.tensor([1.0, 0, 0, 2], [1, 4]), isTrainable: true)
    context.recording {
      let y = context.lengthProduct(a.tensor, b.tensor, groups: 2)
      #expect(context.readDoubles(y) == [0, 10])
      return context.meanSquaredError(y, target: context.tensor([1.0, 0], [1, 2]))
    }
    let gradients =
      (a.gradient.map(context.readDoubles) ?? [.nan])
      + (b.gradient.map(context.readDoubles) ?? [.nan])
    #expect(gradients.allSatisfy { $0.isFinite })
    #expect(gradients[0] == 0 && gradients[2] > 0)
  }
}
