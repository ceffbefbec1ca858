import Glibc

/// The published ways to give every head of every layer its slope `s`, with `exp(-s)` the decay per
/// token. They disagree; a checkpoint needs the one it was trained with.
public enum DecaySlopes: String, CaseIterable, Sendable {
  /// `2^(-8(h+1)/H)` in every layer, with the rule of attention biases for head counts that are no
  /// power of two (Press et al. 2022, "Train Short, Test Long"): SUPRA, Linear-MoE, HypeNet.
  case alibi
  /// ``alibi`` times `1 - l/(L-1) + 1e-5`, so that the last layer hardly decays: TransNormerLLM and
  /// MiniMax-01 as released.
  case tnl
  /// `2^(-8(h+1)/H)` for any head count times `1 - l/(L-1+1e-5) + 1e-5`: MiniMax in transformers.
  case minimax
  /// `8h/H · (1 - l/L)`, head 0 without decay: the TransNormerLLM paper's formula, and fla.
  case linear
  /// `1/n` with `n` spaced evenly in its logarithm from 2 to 256 over the heads, times the factor of
  /// ``tnl``: xmixers.
  case xmixers
  /// `-ln(1 - 2^(-5-h))` in every layer (Sun et al. 2023, "Retentive Network").
  case retnet

  /// The slopes of a layer's heads, all at least 0.
  ///
  /// - Parameters:
  ///   - heads: Heads of the whole layer, at least 1.
  ///   - layer: The layer, from 0.
  ///   - layers: Layers of the model.
  public func values(heads: Int, layer: Int, layers: Int) -> [Double] {
    precondition(
      heads > 0 && (0..<layers).contains(layer), "\(heads) heads in layer \(layer) of \(layers)")
    let factor = factor(layer: Double(layer), layers: Double(layers))
    return (0..<heads).map { head in
      let h = Double(head)
      let count = Double(heads)
      let slope =
        switch self {
        case .alibi, .tnl: Self.headSlope(head, of: heads)
        case .minimax: exp2(-8 * (h + 1) / count)
        case .linear: 8 * h / count
        case .xmixers: 1 / (2 * pow(128, heads > 1 ? h / (count - 1) : 0))
        case .retnet: -log1p(-exp2(-5 - h))
        }
      return slope * factor
    }
  }

  private func factor(layer: Double, layers: Double) -> Double {
    switch self {
    case .alibi, .retnet: 1
    case .tnl, .xmixers: 1 - (layers > 1 ? layer / (layers - 1) : 0) + 1e-5
    case .minimax: 1 - layer / (layers - 1 + 1e-5) + 1e-5
    case .linear: 1 - layer / layers
    }
  }

  /// Heads up to the largest power of two `P` have that count's slopes; those behind take every second
  /// slope of `2P` heads.
  private static func headSlope(_ head: Int, of heads: Int) -> Double {
    var power = 1
    while power * 2 <= heads { power *= 2 }
    if head < power { return exp2(-8 * Double(head + 1) / Double(power)) }
    return exp2(-8 * Double(2 * (head - power) + 1) / Double(2 * power))
  }
}
