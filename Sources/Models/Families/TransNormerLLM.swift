import Numerics

extension LinearMixerConfiguration {
  /// TransNormerLLM as released (Qin et al. 2023, arXiv 2307.14995): silu on queries and keys, LRPE in
  /// layer 0, decay with the layer's factor, a norm without weight and a gate without activation.
  public static func transnormer(heads: Int, dimension: Int, layer: Int, layers: Int)
    -> LinearMixerConfiguration
  {
    LinearMixerConfiguration(
      heads: heads, keyDimension: dimension,
      decay: .fixed(.tnl, heads: heads, layer: layer, layers: layers),
      queryMap: .elementwise(.silu), keyMap: .elementwise(.silu),
      positions: layer == 0 ? .lrpe : .none, outputNorm: .unweighted,
      gate: Gate(activation: .none))
  }
}
