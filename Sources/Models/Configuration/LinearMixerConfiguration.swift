import Numerics

/// Linear attention as one layer of which every named model is a setting: expand, oscillation and
/// shrink (Qin et al. 2024, "Unlocking the Secrets of Linear Complexity Sequence Model from A Unified
/// Perspective", arXiv 2405.17383). With a memory `m` of `k × d` per head,
///
///     m_t = o_t ⊙ m_(t-1) + e_t i_tᵀ        y_t = scale · m_tᵀ s_t
///
/// the expand state `e` is the key, the shrink state `s` the query, the oscillation `o` the decay and
/// the input `i` the value.
public struct LinearMixerConfiguration: Sendable, Equatable {
  /// Where the expand or the shrink state comes from.
  public enum Source: String, CaseIterable, Sendable {
    /// A linear map of the token.
    case projected
    /// A parameter, the same for all tokens.
    case learned
    /// What the forget gate does not keep; the expand state only, with a decay per channel.
    case complement
  }

  /// How much of the memory is left from token to token.
  public enum Decay: Sendable, Equatable {
    /// All of it.
    case none
    /// `exp(-slope)`, a constant per head.
    case fixed(family: String, slopes: [Double])
    /// A parameter per head, or per head and key channel, through a sigmoid.
    case learned(perChannel: Bool, temperature: Double)
    /// A gate per token and head.
    case headGate(temperature: Double)
    /// A gate per token, head and key channel, with a learned lower bound or none.
    case channelGate(lowerBound: LowerBound?, temperature: Double)
    /// The outer product of a gate per token, head and key channel and one per value channel.
    case outer(temperature: Double)
    /// `exp(-rate / temperature)`, a rate per head, key channel and value channel that is the exponential
    /// of a parameter: a state space model with real poles (S4, S5).
    case elementwise(temperature: Double)
    /// The same to the power of a step per token and value channel, the softplus of a linear map with a
    /// bias, which the token's values are multiplied with too: Mamba (Gu and Dao 2023, arXiv 2312.00752,
    /// algorithm 2), without its convolution and skip. The input matrix is `step · B`, Euler's rule, as
    /// in published code, where the paper's equation 4 is the zero-order hold; the map of the step has full
    /// rank, where Mamba's is of rank `dt_rank`; and B, C and the step come from the layer's input, where Mamba
    /// reads them from what is already projected and convolved.
    case selective
  }

  /// How a token's key and value enter the memory.
  public enum Update: String, CaseIterable, Sendable {
    /// Their product is added.
    case sum
    /// The value takes the place of a share of what the memory held for the key, the share a sigmoid
    /// per token and head: DeltaNet (Yang et al. 2024, arXiv 2406.06484), with a decay per token and
    /// head Gated DeltaNet (Yang et al. 2025, arXiv 2412.06464). In the terms of EOS the oscillation
    /// is the matrix `I - β kᵀk`, times the decay.
    case delta
  }

  /// A layer's row of the table of lower bounds that layers share.
  public struct LowerBound: Sendable, Equatable {
    /// The layer's row.
    public var row: Int
    /// Rows of the table.
    public var rows: Int

    /// Row `row` of a table of `rows`.
    public init(row: Int, rows: Int) {
      self.row = row
      self.rows = rows
    }
  }

  /// A feature map of queries, keys or values.
  public enum FeatureMap: Sendable, Equatable {
    /// An elementwise function.
    case elementwise(Activation)
    /// The softmax over the channels of a head.
    case softmax

    /// What the herd format and pipelines call it.
    public var name: String {
      switch self {
      case .elementwise(let activation): activation.rawValue
      case .softmax: "softmax"
      }
    }

    /// The feature map of that name.
    public init?(name: String) {
      if name == "softmax" {
        self = .softmax
      } else if let activation = Activation(rawValue: name) {
        self = .elementwise(activation)
      } else {
        return nil
      }
    }

    /// Every feature map.
    public static let all = Activation.allCases.map(FeatureMap.elementwise) + [.softmax]
  }

  /// How queries and keys know where they stand.
  public enum Positions: Sendable, Equatable {
    /// From the decay alone.
    case none
    /// Rotary positions.
    case rope(RoPEConfiguration)
    /// The linearised relative encoding with learned angles per head, of twice the channels.
    case lrpe
    /// The same with fixed angles `base^(-2j/d)` in the first half of a head's channels and 0 in the
    /// second: LRPE-cos of cosFormer2.
    case lrpeCosine(base: Double)
  }

  /// What normalises the output of all heads.
  public enum OutputNorm: String, CaseIterable, Sendable {
    /// Nothing.
    case none
    /// RMSNorm over all heads with a weight.
    case full
    /// RMSNorm over each head with one weight for all of them.
    case perHead = "per_head"
    /// RMSNorm over all heads without a weight (SRMSNorm).
    case unweighted
  }

  /// What the output is multiplied with.
  public struct Gate: Sendable, Equatable {
    /// Width between the two maps of a low-rank gate; `nil` for one map.
    public var rank: Int?
    /// What the map's result goes through.
    public var activation: Activation
    /// Whether the gate comes before the norm.
    public var beforeNorm: Bool

    /// A gate from its parts.
    public init(rank: Int? = nil, activation: Activation, beforeNorm: Bool = false) {
      self.rank = rank
      self.activation = activation
      self.beforeNorm = beforeNorm
    }
  }

  /// Heads, each with a memory of its own.
  public var heads: Int
  /// Heads of keys and values; divides `heads`. Query heads of a group share theirs.
  public var keyHeads: Int
  /// Width of a query and key head, as projected: LRPE doubles it.
  public var keyDimension: Int
  /// Width of a value head.
  public var valueDimension: Int
  /// The expand state.
  public var expand: Source
  /// The shrink state.
  public var shrink: Source
  /// The oscillation.
  public var decay: Decay
  /// How keys and values enter the memory.
  public var update: Update
  /// The feature map of queries.
  public var queryMap: FeatureMap
  /// The feature map of keys.
  public var keyMap: FeatureMap
  /// The feature map of values.
  public var valueMap: FeatureMap
  /// Whether each head of queries and keys goes through an RMSNorm, before the feature map.
  public var queryKeyNorm: Bool
  /// Whether each head of queries and keys is divided by its length, `√(Σ x² + 10⁻⁶)`, after the feature
  /// map: as DeltaNet and Gated DeltaNet have it.
  public var queryKeyL2Norm: Bool
  /// Positions, after the feature map.
  public var positions: Positions
  /// Factor of the output.
  public var scale: Double
  /// The norm of the output.
  public var outputNorm: OutputNorm
  /// The gate of the output.
  public var gate: Gate?
  /// ε of the mixer's own norms; `nil` for the model's.
  public var normEpsilon: Double?
  /// Tokens, itself included, that each token also attends to by softmax, with queries and keys that have
  /// their positions but neither norm nor feature map; both results enter by half (Lan et al. 2025,
  /// "Liger", arXiv 2503.01496). `nil` for none.
  public var window: Int?

  /// A linear mixer from its parts; plain linear attention unless told otherwise.
  public init(
    heads: Int, keyHeads: Int? = nil, keyDimension: Int, valueDimension: Int? = nil,
    expand: Source = .projected, shrink: Source = .projected, decay: Decay = .none,
    update: Update = .sum, queryMap: FeatureMap = .elementwise(.none),
    keyMap: FeatureMap = .elementwise(.none), valueMap: FeatureMap = .elementwise(.none),
    queryKeyNorm: Bool = false, queryKeyL2Norm: Bool = false, positions: Positions = .none,
    scale: Double = 1, outputNorm: OutputNorm = .none, gate: Gate? = nil,
    normEpsilon: Double? = nil, window: Int? = nil
  ) {
    self.heads = heads
    self.keyHeads = keyHeads ?? heads
    self.keyDimension = keyDimension
    self.valueDimension = valueDimension ?? keyDimension
    self.expand = expand
    self.shrink = shrink
    self.decay = decay
    self.update = update
    self.queryMap = queryMap
    self.keyMap = keyMap
    self.valueMap = valueMap
    self.queryKeyNorm = queryKeyNorm
    self.queryKeyL2Norm = queryKeyL2Norm
    self.positions = positions
    self.scale = scale
    self.outputNorm = outputNorm
    self.gate = gate
    self.normEpsilon = normEpsilon
    self.window = window
  }

  /// Rows of a head's memory.
  public var stateDimension: Int {
    switch positions {
    case .none, .rope: keyDimension
    case .lrpe, .lrpeCosine: 2 * keyDimension
    }
  }

  /// The layer's row of the shared table of lower bounds.
  public var lowerBound: LowerBound? {
    guard case .channelGate(let bound, _) = decay else { return nil }
    return bound
  }

  /// The mixer in a line, for people.
  public var summary: String {
    let oscillation =
      switch decay {
      case .none: "no decay"
      case .fixed(let family, _): "\(family) slopes"
      case .learned(let perChannel, _): "learned decay per \(perChannel ? "channel" : "head")"
      case .headGate: "forget gate per head"
      case .channelGate(let bound, _):
        "forget gate per channel\(bound == nil ? "" : " with lower bound")"
      case .outer: "forget gates per key and value channel"
      case .elementwise: "learned decay per key and value channel"
      case .selective: "selective decay per key and value channel"
      }
    let encoding: String? =
      switch positions {
      case .none: nil
      case .rope: "rope"
      case .lrpe: "lrpe"
      case .lrpeCosine: "lrpe-cos"
      }
    let parts: [String?] = [
      "linear attention, \(heads) heads of \(keyDimension)x\(valueDimension)",
      keyHeads == heads ? nil : "\(keyHeads) key heads", oscillation,
      update == .delta ? "delta rule" : nil, encoding, queryKeyNorm ? "QK norm" : nil,
      queryKeyL2Norm ? "QK L2 norm" : nil,
      gate.map { "\($0.activation.rawValue) gate\($0.rank.map { " of rank \($0)" } ?? "")" },
      window.map { "softmax over \($0) tokens" },
    ]
    return parts.compactMap { $0 }.joined(separator: ", ")
  }

  /// Why there is no such mixer, and what works; `nil` when there is.
  public var refusal: String? {
    guard heads > 0, keyHeads > 0, heads % keyHeads == 0 else {
      return "\(keyHeads) key heads do not divide \(heads) heads"
    }
    guard (1...256).contains(stateDimension), (1...256).contains(valueDimension) else {
      return "heads of \(stateDimension) key and \(valueDimension) value channels are beyond 256"
        + (stateDimension > keyDimension ? " (lrpe doubles key channels)" : "")
    }
    guard scale.isFinite, scale != 0 else { return "a scale of \(scale) leaves nothing" }
    if let normEpsilon, !(normEpsilon >= 0 && normEpsilon.isFinite) {
      return "the ε of its norms must be from 0 up, not \(normEpsilon)"
    }
    if let gate, let rank = gate.rank, rank < 1 { return "a gate of rank \(rank) has no width" }
    guard shrink != .complement else {
      return "the shrink state cannot be the complement of the decay; only the expand state can"
    }
    if case .rope(let rope) = positions {
      guard keyDimension % 2 == 0 else {
        return "rope needs an even head width, not \(keyDimension)"
      }
      guard rope.theta > 0 else { return "rope needs a base above 0, not \(rope.theta)" }
    }
    if case .lrpeCosine(let base) = positions, !(base > 0) {
      return "lrpe_cosine needs a base above 0, not \(base)"
    }
    return windowRefusal ?? decayRefusal ?? updateRefusal
  }

  private var windowRefusal: String? {
    guard let window else { return nil }
    guard (1...1 << 30).contains(window) else {
      return "a window of \(window) tokens; give at least 1 and at most \(1 << 30)"
    }
    guard expand == .projected, shrink == .projected, keyDimension == valueDimension else {
      return "a softmax window needs projected queries and keys as wide as values"
    }
    guard positions == .none || stateDimension == keyDimension else {
      return "a softmax window goes with rope or without positions, not with lrpe"
    }
    return nil
  }

  private var updateRefusal: String? {
    guard update == .delta else { return nil }
    switch decay {
    case .none, .fixed, .learned, .headGate, .channelGate: break
    case .outer, .elementwise, .selective:
      return
        "update: delta needs a decay that all value channels share: none, fixed, learned, head_gate "
        + "or channel_gate"
    }
    // A longer key would make the memory grow without bound.
    guard queryKeyL2Norm || keyMap == .softmax else {
      return
        "update: delta needs keys no longer than 1; set query_key_l2_norm: true (or key_map: softmax)"
    }
    return nil
  }

  private var decayRefusal: String? {
    var temperature = 1.0
    switch decay {
    case .none: break
    case .fixed(_, let slopes):
      guard slopes.count == heads else {
        return "fixed decay needs \(heads) slopes, one per head; found \(slopes.count)"
      }
      if let wrong = slopes.first(where: { !($0 >= 0 && $0.isFinite) }) {
        return "slopes of a fixed decay are numbers from 0 up, not \(wrong)"
      }
    case .learned(let perChannel, let value):
      temperature = value
      if perChannel, keyDimension != stateDimension {
        return "a decay per channel does not go with lrpe, which has twice the channels"
      }
    case .headGate(let value): temperature = value
    case .outer(let value), .elementwise(let value):
      temperature = value
      if keyDimension != stateDimension {
        return "a decay per channel does not go with lrpe, which has twice the channels"
      }
    case .selective:
      if keyDimension != stateDimension {
        return "a decay per channel does not go with lrpe, which has twice the channels"
      }
    case .channelGate(let bound, let value):
      temperature = value
      if keyDimension != stateDimension {
        return "a decay per channel does not go with lrpe, which has twice the channels"
      }
      if let bound, !(0..<bound.rows).contains(bound.row) {
        return "row \(bound.row) of \(bound.rows) lower bounds does not exist"
      }
    }
    guard temperature > 0, temperature.isFinite else {
      return "a decay's temperature must be above 0, not \(temperature)"
    }
    if expand == .complement {
      guard case .channelGate = decay else {
        return "expand: complement needs a decay of kind channel_gate, whose rest it is"
      }
    }
    return nil
  }
}
