import Numerics
import TestSupport
import Testing

@Suite struct AbsoluteTests {
  @Test func gradientsAgreeWithCentralDifferences() throws {
    let context = try Context()
    let x = Parameter("x", context.randomTensor([7, 5], .f64, seed: 1))
    let error = gradientDisagreement(context, [x]) { context in
      // Used twice, so that gradients also add up.
      let y = context.absolute(x.tensor)
      return context.weightedSum([
        (1, context.probe(y)), (0.5, context.probe(context.absolute(x.tensor), seed: 3)),
      ])
    }
    #expect(error < 1e-7)
  }

  @Test func signsGoAndTheSlopeAtZeroIsZero() throws {
    let context = try Context()
    let x = Parameter("x", context.tensor([-2.5, 0, 3], [3]), isTrainable: true)
    context.recording {
      let y = context.absolute(x.tensor)
      #expect(context.readDoubles(y) == [2.5, 0, 3])
      return context.meanSquaredError(y, target: context.tensor([0.0, 1, 0], [3]))
    }
    let gradient = x.gradient.map(context.readDoubles) ?? []
    #expect(gradient[0] < 0 && gradient[1] == 0 && gradient[2] > 0)
  }
}
