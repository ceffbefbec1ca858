import Numerics

extension LinearMixerConfiguration {
  /// Lightning attention as it takes the place of a LLaMA's attention: rotary positions and QK norm,
  /// no feature map, a fixed decay per head, and a sigmoid gate behind a norm over all heads (Chen et
  /// al. 2026, "HALO", arXiv 2601.22156).
  public static func lightning(
    heads: Int, keyHeads: Int, dimension: Int, rope: RoPEConfiguration, slopes: DecaySlopes,
    layer: Int, layers: Int
  ) -> LinearMixerConfiguration {
    LinearMixerConfiguration(
      heads: heads, keyHeads: keyHeads, keyDimension: dimension,
      decay: .fixed(slopes, heads: heads, layer: layer, layers: layers), queryKeyNorm: true,
      positions: .rope(rope), scale: 1 / Double(dimension).squareRoot(), outputNorm: .full,
      gate: Gate(activation: .sigmoid))
  }
}

extension LinearMixerConfiguration.Decay {
  /// Published slopes, written out.
  public static func fixed(_ slopes: DecaySlopes, heads: Int, layer: Int, layers: Int) -> Self {
    .fixed(
      family: slopes.rawValue, slopes: slopes.values(heads: heads, layer: layer, layers: layers))
  }
}
