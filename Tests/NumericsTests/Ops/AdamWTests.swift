import Glibc
import Numerics
import TestSupport
import Testing

@Suite struct AdamWTests {
  /// Five steps of a plain loop in Double; gradients as given per step.
  private func reference(_ start: [Double], _ gradients: [[Double]], scale: Double) -> [[Double]] {
    var (value, m, v) = (start, start.map { _ in 0.0 }, start.map { _ in 0.0 })
    for (index, gradient) in gradients.enumerated() {
      let step = Double(index + 1)
      for i in value.indices {
        let g = gradient[i] * scale
        m[i] = 0.9 * m[i] + 0.1 * g
        v[i] = 0.99 * v[i] + 0.01 * g * g
        let mHat = m[i] / (1 - pow(0.9, step))
        let vHat = v[i] / (1 - pow(0.99, step))
        value[i] -= 0.01 * 0.1 * value[i]
        value[i] -= 0.01 * mHat / (vHat.squareRoot() + 1e-8)
      }
    }
    return [value, m, v]
  }

  @Test(arguments: [DType.f64, .f32]) func agreesWithAPlainLoop(dtype: DType) throws {
    for (name, context) in try cpuVariants() {
      let count = 70_003
      let value = context.randomTensor([count], dtype, seed: 1)
      let start = context.readDoubles(value)
      let (m, v) = (context.zeros([count], dtype), context.zeros([count], dtype))
      let scale = context.tensor([0.5], [], dtype)
      var gradients: [[Double]] = []
      for step in 1...5 {
        let gradient = context.randomTensor([count], dtype, seed: UInt64(10 + step))
        gradients.append(context.readDoubles(gradient))
        context.adamW(
          value: value, gradient: gradient, moment1: m, moment2: v, step: step, learningRate: 0.01,
          beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1, gradientScale: scale)
      }
      let expected = reference(start, gradients, scale: 0.5)
      for (tensor, wanted) in zip([value, m, v], expected) {
        let tolerance = dtype == .f64 ? 1e-13 : 1e-6
        #expect(relativeError(context.readDoubles(tensor), wanted) < tolerance, "\(name)")
      }
    }
  }

  @Test func normsAndClipping() throws {
    let context = try Context()
    let tensors = [context.tensor([3.0], [1]), context.tensor([0.0, 4], [2])]
    let norm = context.globalNorm(tensors)
    #expect(context.readScalar(norm) == 5)
    #expect(context.readScalar(context.clipFactor(norm: norm, maximum: 1)) == 0.2)
    #expect(context.readScalar(context.clipFactor(norm: norm, maximum: 6)) == 1)
    #expect(context.readScalar(context.globalNorm([])) == 0)
    #expect(context.readScalar(context.clipFactor(norm: context.globalNorm([]), maximum: 1)) == 1)
    let bad = context.globalNorm([context.tensor([Double.nan], [1])])
    #expect(context.readScalar(context.clipFactor(norm: bad, maximum: 1)).isNaN)
    let large = context.tensor([Float](repeating: 3, count: 1 << 20), [1 << 20])
    #expect(context.readScalar(context.globalNorm([large])) == 3072)
  }
}
