import Numerics
import TestSupport
import Testing

@Suite struct TapeTests {
  /// Remembers what came back.
  private final class Seen: @unchecked Sendable {
    var shape: [Int]?
  }

  private struct Watch: TapeNode {
    let seen: Seen
    func backward(_ gradients: [Tensor?], in context: Context) { seen.shape = gradients[0]?.shape }
  }

  /// What follows may read an output under another shape; the operation must not see that.
  @Test func gradientsHaveTheShapeTheOperationGave() throws {
    let context = try Context()
    let x = Parameter("x", context.randomTensor([6, 4], .f64, seed: 1), isTrainable: true)
    let gain = context.randomTensor([2], .f64, seed: 2)
    let seen = Seen()
    context.recording {
      let y = context.record([x.tensor.detached()], from: [x.tensor], Watch(seen: seen))[0]
      return context.probe(context.rmsNorm(y.reshaped([12, 2]), weight: gain, epsilon: 1e-5))
    }
    #expect(seen.shape == [6, 4])
  }
}
