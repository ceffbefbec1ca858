import Glibc
import Numerics
import TestSupport
import Testing

@Suite struct RouterNoiseTests {
  @Test func gradientsAgreeWithCentralDifferences() throws {
    let context = try Context()
    let scores = Parameter("s", context.randomTensor([9, 4], .f64, seed: 1))
    let spread = Parameter("r", context.randomTensor([9, 4], .f64, seed: 2))
    let noise = context.randomTensor([9, 4], .f64, seed: 3)
    let error = gradientDisagreement(context, [scores, spread]) { context in
      context.probe(
        context.noisy(scores.tensor, noise: noise, spread: spread.tensor, least: 0.01))
    }
    #expect(error < 1e-7)
  }

  @Test func valuesFollowTheDefinition() throws {
    let context = try Context()
    let scores = context.tensor([1.0, 2, 3], [1, 3])
    let noise = context.tensor([1.0, -2, 0.5], [1, 3])
    let spread = context.tensor([0.0, -800, 800], [1, 3])
    let y = context.readDoubles(context.noisy(scores, noise: noise, spread: spread, least: 0.25))
    #expect(abs(y[0] - (1 + log(2) + 0.25)) < 1e-12)
    #expect(abs(y[1] - (2 - 2 * 0.25)) < 1e-12)
    #expect(abs(y[2] - (3 + 0.5 * 800.25)) < 1e-9)
    let plain = context.readDoubles(context.noisy(scores, noise: noise, least: 0.5))
    #expect(plain == [1.5, 1, 3.25])
  }
}
