import Numerics

/// Gives each output channel the dense MLP's mean and variance on the calibration text: rows of the
/// down projection are scaled and a bias is added. LLaMA-MoE-v2 (Qu et al. 2024) aligns the routed
/// experts so; here the shared ones take part, and the bias enters once whatever the experts' weights
/// are.
public struct AlignRecovery: Recovery {
  public let addsBias = true

  /// The recovery; it has no settings.
  public init() {}

  public func recover(_ layer: RoutedLayer) throws -> RecoveredLayer {
    let moments = try OutputMoments(layer)
    let scales = zip(moments.target.variance, moments.output.variance).map { target, own in
      // A channel that never moves stays as it is.
      own > 0 ? (target / own).squareRoot() : 1
    }
    var down = layer.down
    let width = layer.width
    for (channel, scale) in scales.enumerated() {
      for index in channel * width..<(channel + 1) * width { down[index] *= Float(scale) }
    }
    let bias = scales.indices.map {
      Float(moments.target.mean[$0] - scales[$0] * moments.output.mean[$0])
    }
    return RecoveredLayer(down_DI: down, bias_D: bias)
  }
}
