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

/// How softmax attention becomes lightning attention.
public struct LinearizationSettings: Sendable, Equatable {
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
  /// Whether the layers that stay stand for as many that are still to be measured.
  public var isProvisional = false
  /// Seed of the new gates.
  public var seed: UInt64 = 0

  /// HALO's layer in three of four layers.
  public init() {}
}
