import Numerics
import TestSupport
import Testing

@Suite struct AlignmentLossTests {
  @Test(arguments: [1, 37, 40_000])
  func gradientsAgreeWithCentralDifferences(count: Int) throws {
    let context = try Context()
    let x = Parameter("x", context.randomTensor([count], .f64, seed: 1))
    let target = context.randomTensor([count], .f64, seed: 2)
    let error = gradientDisagreement(context, [x]) { context in
      context.weightedSum([
        (2, context.relativeSquaredError(x.tensor, target: target)),
        (-3, context.meanSquaredError(x.tensor, target: target)),
      ])
    }
    #expect(error < 1e-6)
  }

  @Test func valuesFollowTheDefinition() throws {
    let context = try Context()
    let x = context.tensor([1.0, 2, 4], [3])
    let target = context.tensor([1.0, 0, 3], [3])
    #expect(context.readScalar(context.relativeSquaredError(x, target: target)) == 0.5)
    #expect(abs(context.readScalar(context.meanSquaredError(x, target: target)) - 5.0 / 3) < 1e-15)
    #expect(context.readScalar(context.relativeSquaredError(target, target: target)) == 0)
  }

  @Test func everyInstructionSetAgreesWithDouble() throws {
    for (name, context) in try cpuVariants() {
      func run(_ dtype: DType) -> [[Double]] {
        let x = Parameter("x", context.randomTensor([70_001], dtype, seed: 3), isTrainable: true)
        let target = context.randomTensor([70_001], dtype, seed: 4)
        let loss = context.recording { context.relativeSquaredError(x.tensor, target: target) }
        return [context.readDoubles(loss), x.gradient.map(context.readDoubles) ?? []]
      }
      for (single, reference) in zip(run(.f32), run(.f64)) {
        #expect(relativeError(single, reference) < 1e-6, "\(name)")
      }
    }
  }
}
