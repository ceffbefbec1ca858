import Numerics
import TestSupport
import Testing

@Suite struct RMSNormTests {
  @Test(arguments: [(1, 1), (3, 5), (65, 63)])
  func gradientsAgreeWithCentralDifferences(rows: Int, columns: Int) throws {
    let context = try Context()
    let x = Parameter("x", context.randomTensor([rows, columns], .f64, seed: 1))
    let weight = Parameter("w", context.randomTensor([columns], .f64, seed: 2))
    let error = gradientDisagreement(context, [x, weight]) { context in
      context.probe(context.rmsNorm(x.tensor, weight: weight.tensor, epsilon: 1e-5))
    }
    #expect(error < 1e-6)
  }

  @Test(arguments: [(1, 8), (7, 100), (300, 512)])
  func everyInstructionSetAgreesWithDouble(rows: Int, columns: Int) throws {
    for (name, context) in try cpuVariants() {
      func run(_ dtype: DType) -> [[Double]] {
        let x = Parameter("x", context.randomTensor([rows, columns], dtype, seed: 3))
        let weight = Parameter("w", context.randomTensor([columns], dtype, seed: 4))
        x.isTrainable = true
        weight.isTrainable = true
        var output: [Double] = []
        context.recording {
          let y = context.rmsNorm(x.tensor, weight: weight.tensor, epsilon: 1e-6)
          output = context.readDoubles(y)
          return context.probe(y)
        }
        return [output] + [x, weight].map { $0.gradient.map(context.readDoubles) ?? [] }
      }
      for (single, reference) in zip(run(.f32), run(.f64)) {
        #expect(relativeError(single, reference) < 2e-6, "\(name)")
      }
    }
  }
}
