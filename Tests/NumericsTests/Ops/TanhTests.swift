import Glibc
import Numerics
import TestSupport
import Testing

@Suite struct TanhTests {
  @Test func valuesAreThoseOfTheLibrary() throws {
    for (name, context) in try cpuVariants() {
      let values = (-40...40).map { Double($0) / 4 } + [1e-4, -30, 30, 90, -90]
      let y = context.readDoubles(context.tanh(context.tensor(values, [values.count], .f32)))
      for (value, found) in zip(values, y) {
        #expect(abs(found - Glibc.tanh(value)) < 1e-6, "\(name): tanh(\(value))")
      }
    }
  }

  @Test func gradientsAgreeWithCentralDifferences() throws {
    let context = try Context()
    let x = Parameter("x", context.randomTensor([5, 7], .f64, seed: 1))
    let error = gradientDisagreement(context, [x]) { context in
      context.probe(context.tanh(x.tensor))
    }
    #expect(error < 1e-7)
  }

  @Test func bothLayersOfARouterLearn() throws {
    let context = try Context()
    let (experts, width, hidden) = (3, 4, 6)
    func parameter(_ name: String, _ shape: [Int], seed: UInt64) -> Parameter {
      Parameter(name, context.randomTensor(shape, .f64, seed: seed))
    }
    let first = parameter("first", [experts, hidden], seed: 1)
    let second = parameter("second", [experts, experts], seed: 2)
    let gain = context.tensor([Double](repeating: 1, count: hidden), [hidden], .f64)
    let x = context.randomTensor([5, hidden], .f64, seed: 3)
    let gate = context.randomTensor([experts, width, hidden], .f64, seed: 4)
    let up = context.randomTensor([experts, width, hidden], .f64, seed: 5)
    let down = context.randomTensor([experts, hidden, width], .f64, seed: 6)
    let error = gradientDisagreement(context, [first, second]) { context in
      context.probe(
        context.mixtureLayer(
          x,
          MixtureLayer(
            norm: RMSNorm(weight_D: gain, epsilon: 1e-5),
            router: LinearMap(weight_OI: second.tensor),
            routerHidden: LinearMap(weight_OI: first.tensor), topK: 2,
            combination: .renormalizedSoftmax(scale: 2), gate_EID: gate, up_EID: up, down_EDI: down),
          addedTo: x
        ).output)
    }
    #expect(error < 1e-6)
  }
}
