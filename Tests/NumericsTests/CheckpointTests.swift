import Numerics
import TestSupport
import Testing

@Suite struct CheckpointTests {
  @Test func recomputedBlocksGiveTheSameGradients() throws {
    let context = try Context()
    let weight = Parameter("w", context.randomTensor([6, 6], .f64, seed: 1))
    let gain = Parameter("g", context.randomTensor([6], .f64, seed: 2))
    let x = Parameter("x", context.randomTensor([5, 6], .f64, seed: 3))
    func block(_ context: Context, _ input: Tensor) -> Tensor {
      let normed = context.rmsNorm(input, weight: gain.tensor, epsilon: 1e-5)
      return context.add(input, context.linear(normed, weight: weight.tensor))
    }
    func gradients(_ forward: (Context) -> Tensor) -> [[Double]] {
      for parameter in [weight, gain, x] {
        parameter.isTrainable = true
        parameter.gradient = nil
      }
      context.recording { context.probe(forward(context)) }
      return [weight, gain, x].map { $0.gradient.map(context.readDoubles) ?? [] }
    }
    let plain = gradients { block($0, block($0, x.tensor)) }
    var ready: [String] = []
    context.onGradientReady = { ready.append($0.name) }
    let recomputed = gradients { context in
      let first = context.checkpoint([x.tensor]) { [block($0, $1[0])] }
      return context.checkpoint(first) { [block($0, $1[0])] }[0]
    }
    #expect(plain == recomputed)
    #expect(ready.sorted() == ["g", "w", "x"])
  }
}
