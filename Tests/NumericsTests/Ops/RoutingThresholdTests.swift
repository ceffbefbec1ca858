import Numerics
import TestSupport
import Testing

@Suite struct RoutingThresholdTests {
  private static let sizes = (tokens: 23, model: 6, width: 5, experts: 7, topK: 4)

  /// A layer of experts of which some choices are dropped: all its parameters at once.
  private func layer(_ context: Context, _ p: [Tensor], keeping threshold: Double) -> (
    y: Tensor, routing: Routing
  ) {
    let routing = context.keeping(
      context.route(p[4], topK: Self.sizes.topK, combination: .softmax(scale: 2)),
      atLeast: threshold)
    let y = context.mixtureOfExperts(
      p[0], gate: p[1], up: p[2], down: p[3],
      dispatch: context.dispatch(routing, experts: Self.sizes.experts),
      weights: routing.weights_TK)
    return (y, routing)
  }

  private func parameters(_ context: Context, tokens: Int = Self.sizes.tokens) -> [Parameter] {
    let (d, i, e) = (Self.sizes.model, Self.sizes.width, Self.sizes.experts)
    return [[tokens, d], [e, i, d], [e, i, d], [e, d, i], [tokens, e]].enumerated().map {
      Parameter("p\($0)", context.randomTensor($1, .f64, seed: UInt64($0 + 1)))
    }
  }

  @Test func gradientsAgreeWithCentralDifferences() throws {
    let context = try Context()
    let parameters = parameters(context)
    let error = gradientDisagreement(context, parameters) { context in
      let (y, routing) = layer(context, parameters.map(\.tensor), keeping: 0.3)
      return context.weightedSum([
        (1, context.probe(y)), (1, context.probe(routing.probabilities_TE, seed: 4)),
      ])
    }
    #expect(error < 1e-6)
  }

  /// What is dropped weighs nothing, is counted nowhere, and the layer is the one whose weights are
  /// zero there; for a few tokens as for many, recorded or not.
  @Test(arguments: [1, 3, 23]) func droppedChoicesDoNothing(tokens: Int) throws {
    let context = try Context()
    let p = parameters(context, tokens: tokens)
    let (y, routing) = layer(context, p.map(\.value), keeping: 0.3)
    let all = context.route(
      p[4].value, topK: Self.sizes.topK, combination: .softmax(scale: 2))
    let (chosen, kept) = (
      context.readIntegers(all.experts_TK), context.readIntegers(routing.experts_TK)
    )
    let scores = context.readDoubles(p[4].value)
    var weights = context.readDoubles(all.weights_TK)
    var counts = [Int32](repeating: 0, count: Self.sizes.experts)
    var dropped = 0
    for slot in chosen.indices {
      let score = scores[slot / Self.sizes.topK * Self.sizes.experts + Int(chosen[slot])]
      let isKept = slot % Self.sizes.topK == 0 || score >= 0.3
      #expect(kept[slot] == (isKept ? chosen[slot] : -1))
      if isKept {
        counts[Int(chosen[slot])] += 1
      } else {
        (weights[slot], dropped) = (0, dropped + 1)
      }
    }
    #expect(dropped > 0 && dropped < chosen.count)
    #expect(context.readDoubles(routing.weights_TK) == weights)
    #expect(context.readIntegers(routing.counts_E) == counts)
    let reference = context.mixtureOfExperts(
      p[0].value, gate: p[1].value, up: p[2].value, down: p[3].value,
      dispatch: context.dispatch(all, experts: Self.sizes.experts),
      weights: context.tensor(weights, all.weights_TK.shape))
    #expect(relativeError(context.readDoubles(y), context.readDoubles(reference)) < 1e-13)
    p[0].isTrainable = true
    context.recording {
      let recorded = layer(context, p.map(\.tensor), keeping: 0.3).y
      #expect(relativeError(context.readDoubles(recorded), context.readDoubles(reference)) < 1e-13)
      return context.probe(recorded)
    }
  }

  /// A gated pair with noise and a threshold, through the whole layer with its norm.
  @Test func gatedPairsAreDifferentiable() throws {
    let context = try Context()
    let (d, i, e, t) = (6, 4, 5, 8)
    let shapes = [[t, d], [d], [e, d], [e, d], [e, d], [e, i, d], [e, i, d], [e, d, i], [e]]
    let p = shapes.enumerated().map {
      Parameter("p\($0)", context.randomTensor($1, .f64, seed: UInt64($0 + 40)))
    }
    let noise = context.randomTensor([t, e], .f64, seed: 90)
    let error = gradientDisagreement(context, p) { context in
      let q = p.map(\.tensor)
      let layer = MixtureLayer(
        norm: RMSNorm(weight_D: q[1], epsilon: 1e-5), router: LinearMap(weight_OI: q[2]),
        routerUp: LinearMap(weight_OI: q[3]),
        noise: RouterNoise(values_TE: noise, spread: LinearMap(weight_OI: q[4]), least: 0.1),
        scoreThreshold: 0.2, topK: 3, combination: .gained, gain: q[8], gate_EID: q[5],
        up_EID: q[6], down_EDI: q[7])
      return context.probe(context.mixtureLayer(q[0], layer, addedTo: q[0]).output)
    }
    #expect(error < 1e-6)
  }
}
