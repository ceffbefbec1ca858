import Numerics

extension LinearMixerConfiguration {
  /// The later TNL (Shen et al. 2024, "Scaling Laws for Linear Complexity Language Models", arXiv
  /// 2406.16690): no LRPE, and a low-rank sigmoid gate as wide inside as a head, before a norm per head.
  public static func tnl(heads: Int, dimension: Int, layer: Int, layers: Int)
    -> LinearMixerConfiguration
  {
    LinearMixerConfiguration(
      heads: heads, keyDimension: dimension,
      decay: .fixed(.tnl, heads: heads, layer: layer, layers: layers),
      queryMap: .elementwise(.silu), keyMap: .elementwise(.silu), outputNorm: .perHead,
      gate: Gate(rank: dimension, activation: .sigmoid, beforeNorm: true))
  }
}
