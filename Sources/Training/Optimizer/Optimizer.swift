import Numerics

/// Moves parameters against their gradients and keeps what it needs between steps.
public protocol Optimizer: AnyObject {
  /// Names of the state tensors that each parameter has, in a fixed order.
  var stateNames: [String] { get }
  /// The state tensors of a parameter in the order of ``stateNames``; each has the parameter's
  /// shape and type. Made, as zeros, when first asked for.
  func state(of parameter: Parameter, in context: Context) -> [Tensor]
  /// Puts saved state tensors in place.
  func restore(_ tensors: [Tensor], of parameter: Parameter)
  /// One step over all entries that have a gradient; the gradients are gone afterwards.
  ///
  /// - Parameters:
  ///   - step: Counts from 1.
  ///   - rateFactor: Multiplies every entry's learning rate.
  ///   - gradientScale: A scalar tensor that multiplies every gradient; `nil` for one.
  func step(
    _ step: Int, _ entries: [ParameterSelection.Entry], rateFactor: Double, gradientScale: Tensor?,
    in context: Context)
}
