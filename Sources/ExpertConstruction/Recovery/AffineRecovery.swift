import Numerics

/// A bias that makes the mean of each output channel on the calibration text what the dense MLP's is:
/// the mean of what the experts a token does not choose would have written.
public struct AffineRecovery: Recovery {
  public let addsBias = true

  /// The recovery; it has no settings.
  public init() {}

  public func recover(_ layer: RoutedLayer) throws -> RecoveredLayer {
    let moments = try OutputMoments(layer)
    return RecoveredLayer(
      down_DI: layer.down,
      bias_D: zip(moments.target.mean, moments.output.mean).map { Float($0 - $1) })
  }
}

/// Mean and variance of each output channel over the calibration text, of the mixture as it was
/// converted and of the dense MLP.
struct OutputMoments {
  typealias Moments = (mean: [Double], variance: [Double])
  let output: Moments
  let target: Moments

  init(_ layer: RoutedLayer) throws {
    let context = layer.layer.context
    let (_, output_TD, target_TD) = try layer.record()
    func moments(_ x_TD: Tensor) -> Moments {
      let count = Double(max(1, x_TD.rows))
      let mean = context.readDoubles(context.columnSums(x_TD)).map { $0 / count }
      let squares = context.readDoubles(context.columnSums(x_TD, squared: true))
      return (mean, zip(squares, mean).map { max(0, $0 / count - $1 * $1) })
    }
    (output, target) = (moments(output_TD), moments(target_TD))
  }
}
