/// Everything a layer of experts consists of, its norm included.
public struct MixtureLayer {
  /// The norm before it.
  public var norm: RMSNorm
  /// Scores of the experts, weight `[E, D]`.
  public var router: LinearMap
  /// With it scores are `router · tanh(routerHidden · x)`, weights `[E, H]` and `[H, D]`.
  public var routerHidden: LinearMap?
  /// With it scores are `|silu(router · x) · (routerUp · x)|`, `[E, D]`; or, where router and this have
  /// several rows an expert, the length of `router · x` in them times that of `routerUp · x`.
  public var routerUp: LinearMap?
  /// Added to the scores while training.
  public var noise: RouterNoise?
  /// Multiplies what the router sees while training.
  public var jitter: RouterJitter?
  /// Choices after a token's first are dropped where their score is below this.
  public var scoreThreshold: Double?
  /// Added to the scores for the choice only, `[E]`.
  public var selectionBias: Tensor?
  /// Experts per token.
  public var topK: Int
  /// How weights follow from scores.
  public var combination: Combination
  /// `u` of ``Combination/gained``, `[E]`.
  public var gain: Tensor?
  /// Gate projections, `[E, I, D]`.
  public var gate_EID: Tensor
  /// Up projections, `[E, I, D]`.
  public var up_EID: Tensor
  /// Down projections, `[E, D, I]`.
  public var down_EDI: Tensor
  /// A gated MLP every token uses besides; without biases.
  public var shared: (gate: LinearMap, up: LinearMap, down: LinearMap)?
  /// Score whose sigmoid scales the shared part, `[1, D]`.
  public var sharedGate: Tensor?

  /// A layer from its parts.
  public init(
    norm: RMSNorm, router: LinearMap, routerHidden: LinearMap? = nil, routerUp: LinearMap? = nil,
    noise: RouterNoise? = nil, jitter: RouterJitter? = nil, scoreThreshold: Double? = nil,
    selectionBias: Tensor? = nil, topK: Int,
    combination: Combination, gain: Tensor? = nil, gate_EID: Tensor, up_EID: Tensor,
    down_EDI: Tensor, shared: (gate: LinearMap, up: LinearMap, down: LinearMap)? = nil,
    sharedGate: Tensor? = nil
  ) {
    self.norm = norm
    self.router = router
    self.routerHidden = routerHidden
    self.routerUp = routerUp
    self.noise = noise
    self.jitter = jitter
    self.scoreThreshold = scoreThreshold
    self.selectionBias = selectionBias
    self.topK = topK
    self.combination = combination
    self.gain = gain
    self.gate_EID = gate_EID
    self.up_EID = up_EID
    self.down_EDI = down_EDI
    self.shared = shared
    self.sharedGate = sharedGate
  }

  /// Experts.
  var experts: Int { gate_EID.shape[0] }

  /// Whether this is what fused kernels do: routing by a linear map and the largest scores, and maps
  /// without additions.
  var isPlain: Bool {
    routerHidden == nil && routerUp == nil && noise == nil && jitter == nil
      && scoreThreshold == nil && router.addition == nil
      && [shared?.gate, shared?.up, shared?.down].allSatisfy { $0?.addition == nil }
  }
}

/// Noise on the scores of one layer.
public struct RouterNoise {
  /// Standard normal values, `[T, E]`.
  public var values_TE: Tensor
  /// Its size's trained part: the softplus of `spread · x`, weight `[E, D]`.
  public var spread: LinearMap?
  /// Its size's constant part.
  public var least: Double

  /// Noise from its parts.
  public init(values_TE: Tensor, spread: LinearMap? = nil, least: Double) {
    self.values_TE = values_TE
    self.spread = spread
    self.least = least
  }
}

/// Random factors near one for what a router sees, as ``Context/jittered(_:by:seed:)`` makes them.
public struct RouterJitter: Sendable, Equatable {
  /// Seed of the factors; one for each router, step and micro-batch.
  public var seed: UInt64
  /// Factors are from `1 - size` to `1 + size`.
  public var size: Double

  /// Factors from their seed and size.
  public init(seed: UInt64, size: Double) {
    self.seed = seed
    self.size = size
  }
}

/// A layer of experts for a few tokens.
package protocol FusedMixtureKernels {
  /// `y = residual + layer(x)`; fills `routing` too.
  func mixtureLayer(
    _ x: Tensor, _ layer: MixtureLayer, residual: Tensor, routing: Routing, into y: Tensor)
}

extension Context {
  /// `residual + experts(rmsNorm(x)) (+ shared(rmsNorm(x)))`: a layer of routed experts with its
  /// residual connection. Scores, selection and weights are in full precision whatever the activations
  /// are.
  ///
  /// - Parameters:
  ///   - x_TD: Rows of the residual stream, `[T, D]`.
  ///   - residual_TD: `[T, D]`, `x_TD` as a rule; `nil` for what the experts make alone.
  /// - Returns: `[T, D]`, and where the tokens went.
  public func mixtureLayer(
    _ x_TD: Tensor, _ layer: MixtureLayer, addedTo residual_TD: Tensor?
  ) -> (output: Tensor, routing: Routing) {
    if layer.isPlain, let residual_TD, let fused = fusedKernels(for: x_TD) {
      let (tokens, experts, model) = (x_TD.rows, layer.experts, x_TD.columns)
      precondition((1...experts).contains(layer.topK), "\(layer.topK) of \(experts) experts")
      precondition(layer.router.weight_OI.shape == [experts, model])
      precondition(layer.gate_EID.shape[2] == model && layer.up_EID.shape == layer.gate_EID.shape)
      precondition(layer.down_EDI.shape == [experts, model, layer.gate_EID.shape[1]])
      precondition((layer.combination == .gained) == (layer.gain != nil))
      precondition(residual_TD.shape == x_TD.shape && residual_TD.dtype == x_TD.dtype)
      let routing = Routing(
        experts_TK: empty([tokens, layer.topK], .i32), weights_TK: empty([tokens, layer.topK]),
        probabilities_TE: empty([tokens, experts]), logits_TE: empty([tokens, experts]),
        counts_E: empty([experts], .i32))
      let y_TD = empty(x_TD.shape, x_TD.dtype)
      fused.mixtureLayer(x_TD, layer, residual: residual_TD, routing: routing, into: y_TD)
      return (y_TD, routing)
    }
    let normed = rmsNorm(x_TD, layer.norm)
    let routing = route(normed, layer)
    var update_TD = mixtureOfExperts(
      normed, gate: layer.gate_EID, up: layer.up_EID, down: layer.down_EDI,
      dispatch: dispatch(routing, experts: layer.experts), weights: routing.weights_TK)
    if let shared = layer.shared {
      var shared_TD = linear(
        swiglu(gate: linear(normed, shared.gate), up: linear(normed, shared.up)), shared.down)
      if let gate = layer.sharedGate {
        shared_TD = sigmoidGate(shared_TD, scores: scores(normed, LinearMap(weight_OI: gate)))
      }
      update_TD = add(update_TD, shared_TD)
    }
    return (residual_TD.map { add($0, update_TD) } ?? update_TD, routing)
  }

  /// Where normalised rows go.
  private func route(_ rows_TD: Tensor, _ layer: MixtureLayer) -> Routing {
    let normed_TD =
      layer.jitter.map { jittered(rows_TD, by: $0.size, seed: $0.seed) } ?? rows_TD
    let input = layer.routerHidden.map { tanh(scores(normed_TD, $0)) } ?? normed_TD
    var scores_TE = scores(input, layer.router)
    if let up = layer.routerUp, scores_TE.columns > layer.experts {
      scores_TE = lengthProduct(scores_TE, scores(normed_TD, up), groups: layer.experts)
    } else if let up = layer.routerUp {
      scores_TE = absolute(swiglu(gate: scores_TE, up: scores(normed_TD, up)))
    }
    if let noise = layer.noise {
      scores_TE = noisy(
        scores_TE, noise: noise.values_TE, spread: noise.spread.map { scores(normed_TD, $0) },
        least: noise.least)
    }
    let routing = route(
      scores_TE, selectionBias: layer.selectionBias, topK: layer.topK,
      combination: layer.combination, gain: layer.gain)
    return layer.scoreThreshold.map { keeping(routing, atLeast: $0) } ?? routing
  }
}
