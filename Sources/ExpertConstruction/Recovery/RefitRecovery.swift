import Numerics

/// Refits down projections by ridge regression: with `h` the activations under the router and `y` the
/// dense output, the change `Δ` of the down projection minimises
/// `Σ_t ‖(W + Δ)·h + b - y‖² + λ‖Δ‖²`. Of the shared part alone, which then writes what the routed
/// part on average leaves out, or of all neurons.
public struct RefitRecovery: Recovery {
  /// Whether only shared neurons change.
  public let sharedOnly: Bool
  public let addsBias = false
  /// `λ` as a fraction of the mean energy of an activation.
  static let relativeRidge = 0.01

  /// - Parameter sharedOnly: Whether only shared neurons change; with all of them the normal
  ///   equations are as large as the MLP is wide.
  public init(sharedOnly: Bool) { self.sharedOnly = sharedOnly }

  public func refusal(of geometry: SplitGeometry) -> String? {
    sharedOnly && geometry.shared == 0
      ? "recovery refit-shared needs shared units; give --shared a number above 0, or --recovery refit"
      : nil
  }

  public func recover(_ layer: RoutedLayer) throws -> RecoveredLayer {
    let context = layer.layer.context
    let neurons = sharedOnly ? layer.split.shared : nil
    let (activations_TN, output_TD, target_TD) = try layer.record(activationsOf: neurons)
    let regression = try RidgeRegression(
      inputs_TD: activations_TN, relativeRidge: Self.relativeRidge, intercept: false,
      context: context)
    let change_DN = regression.solve(
      targets_TE: context.subtract(target_TD, output_TD)
    ).weight_ED
    var down = layer.down
    let changed = neurons ?? (0..<Int32(layer.width)).map { $0 }
    for channel in 0..<layer.hidden {
      let row = channel * layer.width
      for (index, neuron) in changed.enumerated() {
        down[row + Int(neuron)] += change_DN[channel * changed.count + index]
      }
    }
    return RecoveredLayer(down_DI: down)
  }
}
