import Numerics
import TestSupport
import Testing

@Suite struct JitterTests {
  /// The factors are constants of the seed.
  @Test func gradientsAgreeWithCentralDifferences() throws {
    let context = try Context()
    let x = Parameter("x", context.randomTensor([9, 7], .f64, seed: 1))
    let error = gradientDisagreement(context, [x]) { context in
      // Twice, so that gradients gather.
      let first = context.jittered(x.tensor, by: 0.3, seed: 5)
      return context.probe(context.add(first, context.jittered(x.tensor, by: 0.7, seed: 6)))
    }
    #expect(error < 1e-7)
  }

  @Test(arguments: [DType.f32, .f64])
  func factorsAreUniformAroundOne(_ dtype: DType) throws {
    let context = try Context()
    let count = 40_000
    let ones = context.tensor([Double](repeating: 1, count: count), [count / 8, 8], dtype)
    let factors = context.readDoubles(context.jittered(ones, by: 0.25, seed: 3))
    #expect(factors.allSatisfy { (0.75...1.25).contains($0) })
    let mean = factors.reduce(0, +) / Double(count)
    let variance = factors.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
    // Deviations of the mean and of the variance of a uniform distribution: 7e-4 and 9e-5.
    #expect(abs(mean - 1) < 4e-3)
    #expect(abs(variance - 0.25 * 0.25 / 3) < 5e-4)
    #expect(Set(factors).count > count * 9 / 10)
  }

  /// One draw of the stream per element, wherever a thread's part begins.
  @Test func factorsAreTheDrawsOfTheStream() throws {
    let context = try Context(device: .cpu(threads: 3))
    let count = 100_000
    let x = context.randomTensor([count], .f64, seed: 2)
    let y = context.readDoubles(context.jittered(x, by: 0.5, seed: 77))
    var random = RandomStream(state: 77)
    let expected = context.readDoubles(x).map {
      $0 * (0.5 + Double(random.next() >> 40) * 0x1p-24)
    }
    #expect(zip(y, expected).allSatisfy { abs($0 - $1) <= 1e-15 })
    #expect(context.readDoubles(context.jittered(x, by: 0, seed: 77)) == context.readDoubles(x))
    #expect(context.readDoubles(context.jittered(x, by: 0.5, seed: 78)) != y)
  }
}
