import Numerics

/// Which layers keep their softmax attention.
public enum KeptSoftmax: Sendable, Equatable {
  /// These layers.
  case layers([Int])
  /// This share of all layers, spread evenly, at least one.
  case share(Double)
  /// No layer.
  case none

  /// The layers of a model of `count` layers, ascending. An even spread ends every stretch of linear
  /// layers with a softmax one, as MiniMax-01 does: of 8 layers a quarter is layers 3 and 7.
  func layers(of count: Int) -> [Int] {
    switch self {
    case .layers(let layers): return Set(layers).sorted()
    case .none: return []
    case .share(let share):
      let kept = min(count, max(1, Int(Double(count) * share + 1e-9)))
      return (0..<kept).map { ($0 + 1) * count / kept - 1 }
    }
  }
}

/// The linear layer that takes the place of a softmax one, with its weights.
public enum LinearizedMixer: String, CaseIterable, Sendable {
  /// HALO's: norms of queries and keys, rotary positions, and norm and gate behind it.
  case lightning
  /// MiniMax-01's, which stock transformers computes: silu on queries, keys and values, no positions, and
  /// norm and gate behind it. Residual connections of the whole model become MiniMax-01's too.
  case minimax

  /// The slopes it has unless others are asked for.
  public var slopes: DecaySlopes {
    switch self {
    case .lightning: .alibi
    case .minimax: .minimax
    }
  }
}

/// How softmax attention becomes lightning attention.
public struct LinearizationSettings: Sendable, Equatable {
  /// What softmax layers become.
  public var mixer = LinearizedMixer.lightning
  /// The layers that stay softmax attention.
  public var kept = KeptSoftmax.share(0.25)
  /// How fast each head forgets.
  public var slopes = DecaySlopes.alibi
  /// Whether key and value heads stay shared by their query heads, which then forget at one rate; else
  /// each query head gets a copy.
  public var sharesKeys = false
  /// Tokens that each token of a linear layer also attends to by softmax; `nil` for none.
  public var window: Int?
  /// Whether the kept softmax layers go on turning queries and keys by position.
  public var softmaxPositions = true
  /// Whether the kept softmax layers get an output gate.
  public var softmaxGate = false
  /// `a` of ``LogLengthScale`` in the kept softmax layers; `nil` for none.
  public var softmaxLogScale: Double?
  /// Factor of the normalised rows in the residual connections of ``LinearizedMixer/minimax``; `nil` for
  /// MiniMax-01's, (2L)^(1/4).
  public var residualAlpha: Double?
  /// Whether the layers that stay stand for as many that are still to be measured.
  public var isProvisional = false
  /// Seed of the new gates.
  public var seed: UInt64 = 0

  /// HALO's layer in three of four layers.
  public init() {}

  /// What MiniMax-01's layers have otherwise than these settings say; `nil` for nothing, or where others
  /// are asked for.
  public var mixerRefusal: String? {
    guard mixer == .minimax else {
      return residualAlpha.map { _ in
        "a residual alpha belongs to the mixer minimax, which has residual connections of its own"
      }
    }
    if slopes != .minimax {
      return
        "the mixer minimax has minimax slopes; leave the slopes out, or use the mixer lightning"
    }
    if sharesKeys {
      return "the mixer minimax has a key head for each query head; do not share keys"
    }
    if window != nil {
      return "the mixer minimax attends to no tokens by softmax; leave the window out"
    }
    if !softmaxPositions || softmaxGate || softmaxLogScale != nil {
      return
        "beside the mixer minimax softmax layers stay as they are: with rope, without gate and "
        + "log scale"
    }
    if let residualAlpha, !(residualAlpha > 0 && residualAlpha.isFinite) {
      return "a residual alpha of \(residualAlpha); give a number above 0"
    }
    return nil
  }
}
