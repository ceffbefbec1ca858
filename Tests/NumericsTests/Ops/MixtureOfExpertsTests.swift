import Glibc
import Numerics
import TestSupport
import Testing

/// A random layer of experts and a routing of tokens to them.
private struct Layer: CustomStringConvertible {
  var tokens: Int
  var model: Int
  var width: Int
  var experts: Int
  var topK: Int
  /// An expert every token chooses.
  var favourite: Int?
  /// An expert no token chooses.
  var avoided: Int?

  var description: String { "T\(tokens) D\(model) I\(width) E\(experts) K\(topK)" }

  func parameters(_ context: Context, _ dtype: DType) -> [Parameter] {
    let shapes = [
      [tokens, model], [experts, width, model], [experts, width, model], [experts, model, width],
      [tokens, topK],
    ]
    return zip(shapes, ["x", "gate", "up", "down", "weights"]).enumerated().map { seed, part in
      Parameter(part.1, context.randomTensor(part.0, dtype, seed: UInt64(seed + 1)))
    }
  }

  func routing(_ context: Context) -> Routing {
    var bias = [Double](repeating: 0, count: experts)
    if let favourite { bias[favourite] = 9 }
    if let avoided { bias[avoided] = -9 }
    return context.route(
      context.randomTensor([tokens, experts], .f64, seed: 77),
      selectionBias: context.tensor(bias, [experts]), topK: topK, combination: .uniform(weight: 1))
  }

  func apply(_ context: Context, _ p: [Tensor]) -> Tensor {
    context.mixtureOfExperts(
      p[0], gate: p[1], up: p[2], down: p[3],
      dispatch: context.dispatch(routing(context), experts: experts), weights: p[4])
  }

  /// The same, token by token and number by number.
  func naive(_ context: Context, _ p: [Tensor]) -> [Double] {
    let values = p.map(context.readDoubles)
    let chosen = context.readIntegers(routing(context).experts_TK)
    var y = [Double](repeating: 0, count: tokens * model)
    for slot in 0..<tokens * topK {
      let (t, e) = (slot / topK, Int(chosen[slot]))
      for i in 0..<width {
        var (g, u) = (0.0, 0.0)
        for d in 0..<model {
          g += values[1][(e * width + i) * model + d] * values[0][t * model + d]
          u += values[2][(e * width + i) * model + d] * values[0][t * model + d]
        }
        let h = values[4][slot] * u * g / (1 + exp(-g))
        for d in 0..<model { y[t * model + d] += values[3][(e * model + d) * width + i] * h }
      }
    }
    return y
  }
}

private let layers = [
  Layer(tokens: 1, model: 3, width: 2, experts: 1, topK: 1),
  Layer(tokens: 6, model: 5, width: 7, experts: 4, topK: 2, avoided: 1),
  Layer(tokens: 19, model: 6, width: 3, experts: 5, topK: 1, favourite: 2),
  Layer(tokens: 40, model: 9, width: 2, experts: 64, topK: 6, favourite: 63, avoided: 0),
  Layer(tokens: 300, model: 4, width: 3, experts: 2, topK: 2),
]

@Suite struct MixtureOfExpertsTests {
  @Test(arguments: layers) fileprivate func gradientsAgreeWithCentralDifferences(
    layer: Layer
  ) throws {
    let context = try Context()
    let parameters = layer.parameters(context, .f64)
    let error = gradientDisagreement(context, parameters) { context in
      context.probe(layer.apply(context, parameters.map(\.tensor)))
    }
    #expect(error < 1e-6)
  }

  @Test(arguments: layers) fileprivate func agreesWithALoopOverTokens(layer: Layer) throws {
    let context = try Context()
    let parameters = layer.parameters(context, .f64)
    let reference = layer.naive(context, parameters.map(\.value))
    let fast = layer.apply(context, parameters.map(\.value))
    #expect(relativeError(context.readDoubles(fast), reference) < 1e-12)
    parameters[0].isTrainable = true
    context.recording {
      let recorded = layer.apply(context, parameters.map(\.tensor))
      #expect(relativeError(context.readDoubles(recorded), reference) < 1e-12)
      return context.probe(recorded)
    }
  }

  @Test(arguments: [
    Layer(tokens: 3, model: 200, width: 65, experts: 4, topK: 2),
    Layer(tokens: 70, model: 300, width: 40, experts: 9, topK: 3, avoided: 4),
    Layer(tokens: 700, model: 48, width: 24, experts: 3, topK: 1, favourite: 1),
    Layer(tokens: 65, model: 33, width: 8, experts: 256, topK: 8),
  ])
  fileprivate func everyInstructionSetAgreesWithDouble(layer: Layer) throws {
    for (name, context) in try cpuVariants() {
      func run(_ dtype: DType) -> [[Double]] {
        let parameters = layer.parameters(context, dtype)
        for parameter in parameters { parameter.isTrainable = true }
        var output: [Double] = []
        context.recording {
          let y = layer.apply(context, parameters.map(\.tensor))
          output = context.readDoubles(y)
          return context.probe(y)
        }
        return [output, context.readDoubles(layer.apply(context, parameters.map(\.value)))]
          + parameters.map { $0.gradient.map(context.readDoubles) ?? [] }
      }
      for (single, reference) in zip(run(.f32), run(.f64)) {
        #expect(relativeError(single, reference) < 3e-6, "\(name) \(layer)")
      }
    }
  }

  @Test(arguments: [DType.bf16, .f16], [1, 4, 90])
  func sixteenBitExpertsAgreeWithTheirWidenedValues(format: DType, tokens: Int) throws {
    let layer = Layer(tokens: tokens, model: 70, width: 37, experts: 6, topK: 3)
    for (name, context) in try cpuVariants() {
      var p = layer.parameters(context, .f32).map(\.value)
      for i in 1...3 { p[i] = context.cast(p[i], to: format) }
      let half = context.read(layer.apply(context, p))
      let wide = p.map { context.tensor(context.readDoubles($0), $0.shape) }
      #expect(relativeError(half, layer.naive(context, wide)) < 1e-6, "\(name)")
    }
  }

  @Test func allExpertsTogetherAreTheDenseLayer() throws {
    let context = try Context()
    let layer = Layer(tokens: 23, model: 12, width: 5, experts: 4, topK: 4)
    let p = layer.parameters(context, .f64).map(\.value)
    let uniform = context.tensor([Double](repeating: 1, count: 23 * 4), [23, 4])
    let ones = context.tensor([Double](repeating: 1, count: 23), [23, 1])
    let mixture = layer.apply(context, [p[0], p[1], p[2], p[3], uniform])
    // One wide expert whose neurons are all experts' neurons, in order.
    let down = context.readDoubles(p[3])
    var joined: [Double] = []
    for d in 0..<12 {
      for n in 0..<20 { joined.append(down[(n / 5 * 12 + d) * 5 + n % 5]) }
    }
    let dense = Layer(tokens: 23, model: 12, width: 20, experts: 1, topK: 1)
    let whole = dense.apply(
      context,
      [
        p[0], p[1].reshaped([1, 20, 12]), p[2].reshaped([1, 20, 12]),
        context.tensor(joined, [1, 12, 20]), ones,
      ])
    #expect(relativeError(context.readDoubles(mixture), context.readDoubles(whole)) < 1e-13)
  }

  @Test func gradientsAddUpAndIdleExpertsGetZeros() throws {
    let context = try Context()
    let layer = Layer(tokens: 9, model: 8, width: 4, experts: 5, topK: 2, avoided: 3)
    let parameters = layer.parameters(context, .f64)
    for parameter in parameters { parameter.isTrainable = true }
    // Dirty the cache, so that memory not written shows.
    for _ in 0..<8 { _ = context.tensor([Double](repeating: .nan, count: 160), [160]) }
    func backward() -> [[Double]] {
      context.recording { context.probe(layer.apply(context, parameters.map(\.tensor))) }
      return parameters.map { $0.gradient.map(context.readDoubles) ?? [] }
    }
    let (once, twice) = (backward(), backward())
    for (a, b) in zip(once, twice) { #expect(relativeError(b, a.map { 2 * $0 }) < 1e-14) }
    for index in 1...3 { #expect(once[index][3 * 32..<4 * 32].allSatisfy { $0 == 0 }) }
  }

  @Test func repeatsBitForBit() throws {
    let context = try Context()
    let layer = Layer(tokens: 600, model: 40, width: 24, experts: 8, topK: 2)
    func run() -> [[Float]] {
      let parameters = layer.parameters(context, .f32)
      for parameter in parameters { parameter.isTrainable = true }
      var output: [Float] = []
      context.recording {
        let y = layer.apply(context, parameters.map(\.tensor))
        output = context.read(y)
        return context.probe(y)
      }
      return [output] + parameters.map { $0.gradient.map(context.read) ?? [] }
    }
    let first = run()
    for _ in 0..<3 { #expect(run() == first) }
  }

  @Test func keepsNoMoreForFinerExperts() throws {
    func kept(_ layer: Layer) throws -> Int {
      let context = try Context()
      let parameters = layer.parameters(context, .f32)
      parameters[0].isTrainable = true
      let dispatch = context.dispatch(layer.routing(context), experts: layer.experts)
      var used = 0
      context.recording {
        let before = context.memory.inUse
        let y = context.mixtureOfExperts(
          parameters[0].tensor, gate: parameters[1].value, up: parameters[2].value,
          down: parameters[3].value, dispatch: dispatch, weights: parameters[4].value)
        used = context.memory.inUse - before
        return context.probe(y)
      }
      return used
    }
    let coarse = try kept(Layer(tokens: 256, model: 16, width: 64, experts: 4, topK: 1))
    let fine = try kept(Layer(tokens: 256, model: 16, width: 8, experts: 32, topK: 8))
    #expect(coarse == fine)
  }
}
