import CKernels
import Glibc
import Numerics
import TestSupport
import Testing

@Suite struct SwiGLUTests {
  @Test(arguments: [(1, 1), (5, 13), (33, 130)])
  func gradientsAgreeWithCentralDifferences(rows: Int, columns: Int) throws {
    let context = try Context()
    let gate = Parameter("gate", context.randomTensor([rows, columns], .f64, seed: 1))
    let up = Parameter("up", context.randomTensor([rows, columns], .f64, seed: 2))
    let error = gradientDisagreement(context, [gate, up]) { context in
      let once = context.swiglu(gate: gate.tensor, up: up.tensor)
      return context.probe(context.add(once, context.swiglu(gate: once, up: gate.tensor)))
    }
    #expect(error < 1e-7)
  }

  @Test func oneTensorMayBeGateAndUp() throws {
    let context = try Context()
    let x = Parameter("x", context.randomTensor([4, 9], .f64, seed: 3))
    let error = gradientDisagreement(context, [x]) { context in
      context.probe(context.swiglu(gate: x.tensor, up: x.tensor))
    }
    #expect(error < 1e-7)
  }

  @Test func everyInstructionSetAgreesWithDouble() throws {
    for (name, context) in try cpuVariants() {
      func run(_ dtype: DType) -> [[Double]] {
        let gate = Parameter("gate", context.randomTensor([77, 301], dtype, seed: 4))
        let up = Parameter("up", context.randomTensor([77, 301], dtype, seed: 5))
        gate.isTrainable = true
        up.isTrainable = true
        var output: [Double] = []
        context.recording {
          let y = context.swiglu(gate: gate.tensor, up: up.tensor)
          output = context.readDoubles(y)
          return context.probe(y)
        }
        return [output] + [gate, up].map { $0.gradient.map(context.readDoubles) ?? [] }
      }
      for (single, reference) in zip(run(.f32), run(.f64)) {
        #expect(relativeError(single, reference) < 3e-7, "\(name)")
      }
    }
  }

  @Test func largeGatesStayFinite() throws {
    for (name, context) in try cpuVariants() {
      let gates: [Float] = [-1e30, -200, -90, 0, 90, 200, 1e30]
      let y = context.swiglu(
        gate: context.tensor(gates, [7]),
        up: context.tensor([Float](repeating: 1, count: 7), [7]))
      let expected: [Float] = [0, 0, 0, 0, 90, 200, 1e30]
      for (value, wanted) in zip(context.read(y), expected) {
        #expect(abs(value - wanted) <= 1e-6 * abs(wanted) + 1e-7, "\(name)")
      }
    }
  }

  @Test func exponentialKeepsItsErrorBound() throws {
    var x: [Float] = [-.infinity, -1e30, -87.5, 0, 88]
    x += (0..<200_000).map { -87 + 175 * Float($0) / 200_000 }
    for set in [HK_SCALAR, HK_AVX2, HK_AVX512] {
      guard let kernels = hk_kernels_f32(set) else { continue }
      var y = [Float](repeating: .nan, count: x.count)
      kernels.pointee.exponential(&x, &y, x.count)
      var worst = 0.0
      for (x, y) in zip(x, y) where x >= -87 {
        let exact = exp(Double(x))
        worst = max(worst, abs(Double(y) - exact) / exact)
      }
      #expect(worst < 2e-7)
      #expect(y[..<4] == [0, 0, 0, 1])
    }
  }
}
