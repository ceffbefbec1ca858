import Numerics

/// A dense gated MLP, SwiGLU (Shazeer 2020) or with another activation.
public struct DenseConfiguration: Sendable, Equatable {
  /// Neurons.
  public var width: Int
  /// Whether the three projections have biases.
  public var bias: Bool
  /// What the gate goes through; silu unless it is another gated unit than SwiGLU.
  public var activation: Activation

  /// A dense MLP of `width` neurons.
  public init(width: Int, bias: Bool = false, activation: Activation = .silu) {
    self.width = width
    self.bias = bias
    self.activation = activation
  }
}

/// How a router scores experts.
public enum RouterKind: String, CaseIterable, Sendable {
  /// `weight_e · x + bias_e`.
  case linear
  /// `|silu(weight_e · x) · (up_e · x)|`: the activation of a neuron that stands for the expert (CMoE).
  case gatedPair = "gated_pair"
  /// `weight · tanh(hidden · x)`, the hidden layer as wide as there are experts (LLaMA-MoE).
  case tanhPair = "tanh_pair"
  /// `‖weight_e · x‖ · ‖up_e · x‖`, each expert with several rows: the spectral mass of its gate and up
  /// projections.
  case lengthPair = "length_pair"
}

/// A mixture of routed SwiGLU experts with optional always-on shared neurons.
public struct MixtureConfiguration: Sendable, Equatable {
  /// Routed experts.
  public var experts: Int
  /// Routed experts each token uses.
  public var topK: Int
  /// Neurons of one routed expert.
  public var expertWidth: Int
  /// Neurons of the shared part; 0 for none.
  public var sharedWidth: Int
  /// How the chosen experts' outputs are weighted.
  public var combination: Combination
  /// How the router scores experts.
  public var routerKind: RouterKind
  /// The router's rows per expert: at least 2 for pairs of lengths, 1 for others.
  public var routerRank: Int
  /// Whether the router's scores have a bias; a linear router only.
  public var routerBias: Bool
  /// Choices after a token's first are dropped where their score is below this; `nil` keeps all.
  public var scoreThreshold: Double?
  /// Whether the size of the noise in training is learned (Shazeer et al. 2017).
  public var noiseWeight: Bool
  /// Whether a bias used for selection only is kept (auxiliary-loss-free balancing, DeepSeek-V3).
  public var selectionBias: Bool
  /// Whether the shared part passes a sigmoid gate (Qwen2-MoE).
  public var sharedGate: Bool
  /// Whether a bias is added to the layer's output: what the experts a token does not choose would
  /// have written in the mean.
  public var outputBias: Bool
  /// Factor by which a stock format's conversion multiplied the routed down projections.
  public var foldedScale: Double

  /// A mixture from its parts.
  public init(
    experts: Int, topK: Int, expertWidth: Int, sharedWidth: Int = 0, combination: Combination,
    routerKind: RouterKind = .linear, routerRank: Int = 1, routerBias: Bool = false,
    scoreThreshold: Double? = nil,
    noiseWeight: Bool = false, selectionBias: Bool = false, sharedGate: Bool = false,
    outputBias: Bool = false, foldedScale: Double = 1
  ) {
    self.experts = experts
    self.topK = topK
    self.expertWidth = expertWidth
    self.sharedWidth = sharedWidth
    self.combination = combination
    self.routerKind = routerKind
    self.routerRank = routerRank
    self.routerBias = routerBias
    self.scoreThreshold = scoreThreshold
    self.noiseWeight = noiseWeight
    self.selectionBias = selectionBias
    self.sharedGate = sharedGate
    self.outputBias = outputBias
    self.foldedScale = foldedScale
  }

  /// Neurons a token uses over all neurons: the active share of the MLP.
  public var activeShare: Double {
    Double(topK * expertWidth + sharedWidth) / Double(experts * expertWidth + sharedWidth)
  }
}
