import Numerics

extension LinearMixerConfiguration {
  /// Lightning attention as transformers has MiniMax-01 (arXiv 2501.08313): silu on queries, keys and
  /// values, no positions, decay with the layer's factor, and a norm over all heads before a sigmoid
  /// gate. The norm's ε is 1e-6 whatever the model's is.
  public static func minimax(heads: Int, dimension: Int, layer: Int, layers: Int)
    -> LinearMixerConfiguration
  {
    LinearMixerConfiguration(
      heads: heads, keyDimension: dimension,
      decay: .fixed(.minimax, heads: heads, layer: layer, layers: layers),
      queryMap: .elementwise(.silu), keyMap: .elementwise(.silu), valueMap: .elementwise(.silu),
      outputNorm: .full, gate: Gate(activation: .sigmoid), normEpsilon: 1e-6)
  }
}
