import Numerics

/// The position-wise part of a block.
public protocol FeedForward: AnyObject {
  /// Maps normalised activations `[T, D]` to `[T, D]`; a mixture also says how it routed.
  func callAsFunction(_ x_TD: Tensor, in context: Context) -> (output: Tensor, routing: Routing?)

  /// Every parameter, in a fixed order.
  var parameters: [Parameter] { get }
}
