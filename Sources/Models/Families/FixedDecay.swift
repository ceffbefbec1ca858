import Numerics

extension LinearMixerConfiguration.Decay {
  /// Published slopes, written out.
  public static func fixed(_ slopes: DecaySlopes, heads: Int, layer: Int, layers: Int) -> Self {
    .fixed(
      family: slopes.rawValue, slopes: slopes.values(heads: heads, layer: layer, layers: layers))
  }
}
