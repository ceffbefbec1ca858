import Numerics

extension LinearMixerConfiguration {
  /// cosFormer2 (Shen et al. 2024, "Scaling Laws for Linear Complexity Language Models", arXiv
  /// 2406.16690): no decay but cosines of the distance per channel, and the low-rank gate of TNL.
  public static func cosformer2(heads: Int, dimension: Int) -> LinearMixerConfiguration {
    LinearMixerConfiguration(
      heads: heads, keyDimension: dimension, queryMap: .elementwise(.silu),
      keyMap: .elementwise(.silu), positions: .lrpeCosine(base: 10000), outputNorm: .perHead,
      gate: Gate(rank: dimension, activation: .sigmoid, beforeNorm: true))
  }
}
