import Numerics

/// A trained addition of low rank to the weight of a linear map (Hu et al. 2021, "LoRA").
public final class LowRankAdapter {
  /// `A`, `[R, I]`.
  public let down: Parameter
  /// `B`, `[O, R]`.
  public let up: Parameter
  /// Factor of `B · A`.
  public let scale: Double

  /// An adapter from its parts.
  public init(down: Parameter, up: Parameter, scale: Double) {
    self.down = down
    self.up = up
    self.scale = scale
  }

  /// What operations take.
  var map: LowRankMap { LowRankMap(down_RI: down.tensor, up_OR: up.tensor, scale: scale) }
}
