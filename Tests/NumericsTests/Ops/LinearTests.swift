import Numerics
import TestSupport
import Testing

@Suite struct LinearTests {
  @Test func biasesOnRowsHaveGradients() throws {
    let context = try Context()
    let x = Parameter("x", context.randomTensor([7, 5], .f64, seed: 1))
    let bias = Parameter("b", context.randomTensor([5], .f64, seed: 2))
    let error = gradientDisagreement(context, [x, bias]) { context in
      let once = context.add(x.tensor, bias: bias.tensor)
      return context.probe(context.add(once, bias: bias.tensor))
    }
    #expect(error < 1e-6)
  }

  @Test(arguments: [(1, 3, 2), (5, 7, 4), (33, 16, 65)])
  func gradientsAgreeWithCentralDifferences(tokens: Int, inputs: Int, outputs: Int) throws {
    let context = try Context()
    let x = Parameter("x", context.randomTensor([tokens, inputs], .f64, seed: 1))
    let weight = Parameter("w", context.randomTensor([outputs, inputs], .f64, seed: 2))
    let bias = Parameter("b", context.randomTensor([outputs], .f64, seed: 3))
    let error = gradientDisagreement(context, [x, weight, bias]) { context in
      context.probe(context.linear(x.tensor, weight: weight.tensor, bias: bias.tensor))
    }
    #expect(error < 1e-7)
  }

  /// The factor is the product's alone.
  @Test func scaledProductsHaveGradients() throws {
    let context = try Context()
    let x = Parameter("x", context.randomTensor([4, 7], .f64, seed: 1))
    let weight = Parameter("w", context.randomTensor([5, 7], .f64, seed: 2))
    let bias = Parameter("b", context.randomTensor([5], .f64, seed: 3))
    let error = gradientDisagreement(context, [x, weight, bias]) { context in
      context.probe(
        context.linear(x.tensor, weight: weight.tensor, bias: bias.tensor, scaledBy: -2.5))
    }
    #expect(error < 1e-7)
    let one = context.tensor([1.0], [1, 1])
    let y = context.linear(one, weight: one, bias: context.tensor([0.5], [1]), scaledBy: 3)
    #expect(context.readScalar(y) == 3.5)
  }

  @Test(arguments: [(1, 64, 48), (3, 100, 33), (70, 512, 96), (1, 8_233, 31), (1, 3, 5)])
  func everyInstructionSetAgreesWithDouble(tokens: Int, inputs: Int, outputs: Int) throws {
    for (name, context) in try cpuVariants() {
      let x = context.randomTensor([tokens, inputs], .f64, seed: 4)
      let weight = context.randomTensor([outputs, inputs], .f64, seed: 5)
      let reference = context.readDoubles(context.linear(x, weight: weight))
      let x32 = context.cast(x, to: .f32)
      let single = context.read(context.linear(x32, weight: context.cast(weight, to: .f32)))
      #expect(relativeError(single, reference) < 2e-6, "\(name)")
      for format in [DType.bf16, .f16] {
        let half = context.cast(context.cast(weight, to: .f32), to: format)
        let rounded = context.tensor(context.readDoubles(half), weight.shape)
        let halfReference = context.readDoubles(context.linear(x, weight: rounded))
        let halfResult = context.read(context.linear(x32, weight: half))
        #expect(relativeError(halfResult, halfReference) < 2e-6, "\(name) \(format)")
      }
    }
  }

  @Test func gradientsAddUpOverUses() throws {
    let context = try Context()
    let weight = Parameter("w", context.randomTensor([4, 4], .f64, seed: 6))
    let x = Parameter("x", context.randomTensor([3, 4], .f64, seed: 7))
    let error = gradientDisagreement(context, [weight, x]) { context in
      let once = context.linear(x.tensor, weight: weight.tensor)
      let twice = context.linear(context.add(once, x.tensor), weight: weight.tensor)
      return context.probe(context.add(once, twice))
    }
    #expect(error < 1e-7)
  }
}
