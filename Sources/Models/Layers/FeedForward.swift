import Numerics

/// The position-wise part of a block.
public protocol FeedForward: AnyObject {
  /// What this part makes of the normalised rows.
  ///
  /// - Parameters:
  ///   - x_TD: The residual stream, `[T, D]`.
  ///   - norm: The norm before.
  ///   - residual_TD: What the result is added to along with the last product, the residual stream as
  ///     a rule; `nil` for the result alone.
  /// - Returns: `[T, D]`; a mixture also says how it routed.
  func callAsFunction(
    _ x_TD: Tensor, norm: RMSNorm, addedTo residual_TD: Tensor?, in context: Context
  ) -> (output: Tensor, routing: Routing?)

  /// Every parameter, in a fixed order.
  var parameters: [Parameter] { get }

  /// The linear maps that can have adapters: not those of experts, which are one stack.
  var projections: [LinearProjection] { get }

  /// What chooses among experts; `nil` where there are none.
  var router: ExpertRouter? { get }
}

extension FeedForward {
  public var router: ExpertRouter? { nil }
}
