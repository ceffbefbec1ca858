import Numerics

extension LinearMixerConfiguration {
  /// HGRN2 (Qin et al. 2024, arXiv 2404.07904): a forget gate per channel with a lower bound that grows
  /// with the layer, keys tied to it, and queries in the place of an output gate.
  public static func hgrn2(heads: Int, dimension: Int, layer: Int, layers: Int)
    -> LinearMixerConfiguration
  {
    LinearMixerConfiguration(
      heads: heads, keyDimension: dimension, expand: .complement,
      decay: .channelGate(
        lowerBound: LowerBound(row: layer, rows: layers), temperature: 1),
      queryMap: .elementwise(.silu), outputNorm: .full)
  }
}
