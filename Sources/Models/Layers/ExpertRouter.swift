import Numerics

/// The router of a layer of experts, and how their outputs are weighted.
public final class ExpertRouter {
  /// Experts.
  public let experts: Int
  /// The bias used only to select experts, `[E]`; moved by balancing, not by gradients.
  public let selectionBias: Parameter?
  private let weight: Parameter
  private let bias: Parameter?
  /// The first layer of a ``RouterKind/tanhPair``, `[E, D]`.
  private let hidden: Parameter?
  /// The second rows of each expert where scores are pairs, `[E · rank, D]`.
  private let up: Parameter?
  /// What the size of the noise in training is made of, `[E, D]`.
  private let noiseWeight: Parameter?
  private let gain: Parameter?
  private let chosen: (topK: Int, combination: Combination, threshold: Double?)
  private let foldedScale: Double
  /// While set, every token uses every expert with weight `1 / foldedScale`: the layer then equals
  /// the dense one it came from.
  var choosesAllExperts = false
  /// Noise on the scores of an MLP's router; set while training only.
  public var noise: RouterNoiseSource?
  /// Random factors of what the router sees; set while training only.
  public var jitter: RouterJitter?

  /// - Parameters:
  ///   - prefix: The router's place, such as `model.layers.0.mlp.router`.
  ///   - foldedScale: Factor that the routed outputs already have.
  init(
    _ prefix: String, experts: Int, topK: Int, combination: Combination, hasBias: Bool,
    hasSelectionBias: Bool, kind: RouterKind = .linear, threshold: Double? = nil,
    hasNoiseWeight: Bool = false, foldedScale: Double = 1, store: ParameterStore
  ) throws(ModelError) {
    self.experts = experts
    self.foldedScale = foldedScale
    chosen = (topK, combination, threshold)
    weight = try store.take("\(prefix).weight")
    bias = hasBias ? try store.take("\(prefix).bias") : nil
    hidden = kind == .tanhPair ? try store.take("\(prefix).hidden_weight") : nil
    up = [.gatedPair, .lengthPair].contains(kind) ? try store.take("\(prefix).up_weight") : nil
    noiseWeight = hasNoiseWeight ? try store.take("\(prefix).noise_weight") : nil
    selectionBias = hasSelectionBias ? try store.take("\(prefix).selection_bias") : nil
    gain = combination == .gained ? try store.take("\(prefix).gain") : nil
  }

  /// Every parameter, in a fixed order.
  var parameters: [Parameter] {
    [weight, bias, selectionBias, gain, hidden, up, noiseWeight].compactMap { $0 }
  }

  /// The parameters that the scores are made of, without the gains of the chosen experts.
  public var scoreParameters: [Parameter] {
    [weight, bias, hidden, up, noiseWeight].compactMap { $0 }
  }

  /// Scores of the experts, weight `[E, D]`, or the first map of pairs.
  var map: LinearMap { LinearMap(weight_OI: weight.tensor, bias_O: bias?.tensor) }

  /// What the scores are taken of, where that is not the input itself.
  var hiddenMap: LinearMap? { hidden.map { LinearMap(weight_OI: $0.tensor) } }

  /// The second map of pairs.
  var upMap: LinearMap? { up.map { LinearMap(weight_OI: $0.tensor) } }

  /// Below which score choices are dropped.
  var threshold: Double? { choosesAllExperts ? nil : chosen.threshold }

  /// The factors in use.
  var usedJitter: RouterJitter? { choosesAllExperts ? nil : jitter }

  /// Noise for the scores of `rows` tokens.
  func noise(rows: Int, _ dtype: DType, in context: Context) -> RouterNoise? {
    guard let noise, !choosesAllExperts else { return nil }
    return RouterNoise(
      values_TE: noise.values([rows, experts], dtype, in: context),
      spread: noiseWeight.map { LinearMap(weight_OI: $0.tensor) }, least: noise.size)
  }

  /// Experts per token.
  var topK: Int { choosesAllExperts ? experts : chosen.topK }

  /// How weights follow from scores.
  var combination: Combination {
    choosesAllExperts ? .uniform(weight: 1 / foldedScale) : chosen.combination
  }

  /// `u` of ``Combination/gained``, `[E]`, where the combination in use has it.
  var usedGain: Tensor? { combination == .gained ? gain?.tensor : nil }

  /// Where each token goes. Scores and weights are in full precision whatever the activations are.
  ///
  /// - Parameters:
  ///   - x_TD: The residual stream, `[T, D]`.
  ///   - norm: The norm of what the router sees.
  func callAsFunction(_ x_TD: Tensor, norm: RMSNorm, in context: Context) -> Routing {
    let scores_TE =
      usedJitter.map {
        context.scores(
          context.jittered(context.rmsNorm(x_TD, norm), by: $0.size, seed: $0.seed), map)
      } ?? context.linear(x_TD, norm: norm, map, as: x_TD.dtype.statistic)
    return context.route(
      scores_TE, selectionBias: selectionBias?.tensor, topK: topK, combination: combination,
      gain: usedGain)
  }

  /// Runs `body` with every token using every expert at weight one.
  public func choosingAllExperts<Result>(_ body: () throws -> Result) rethrows -> Result {
    choosesAllExperts = true
    defer { choosesAllExperts = false }
    return try body()
  }
}

/// The half of a block that a router belongs to.
public enum BlockPart: String, Sendable, CaseIterable {
  /// The token mixer.
  case attention
  /// The position-wise part.
  case mlp
}
