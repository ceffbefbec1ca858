import Numerics
import TestSupport
import Testing

@Suite struct ElementwiseTests {
  @Test(arguments: [1, 37, 40_000])
  func differencesHaveGradientsOfBothSigns(count: Int) throws {
    let context = try Context()
    let a = Parameter("a", context.randomTensor([count], .f64, seed: 1))
    let b = Parameter("b", context.randomTensor([count], .f64, seed: 2))
    let (x, y) = (context.readDoubles(a.value), context.readDoubles(b.value))
    #expect(
      context.readDoubles(context.subtract(a.value, b.value)) == zip(x, y).map { $0 - $1 })
    let error = gradientDisagreement(context, [a, b]) { context in
      let difference = context.subtract(a.tensor, b.tensor)
      return context.probe(context.subtract(difference, b.tensor))
    }
    #expect(error < 1e-6)
  }

  @Test func nothingIsRecordedWhereItIsNotWanted() throws {
    let context = try Context()
    let a = Parameter("a", context.tensor([3.0], []), isTrainable: true)
    let b = Parameter("b", context.tensor([5.0], []), isTrainable: true)
    context.recording {
      let constant = context.withoutRecording { context.subtract(a.tensor, b.tensor) }
      #expect(context.readScalar(constant) == -2)
      return context.weightedSum([(2, constant), (3, b.tensor)])
    }
    #expect(a.gradient == nil)
    #expect(b.gradient.map(context.readScalar) == 3)
  }
}
