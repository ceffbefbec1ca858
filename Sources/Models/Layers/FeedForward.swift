import Numerics

/// The position-wise part of a block.
public protocol FeedForward: AnyObject {
  /// The residual stream `[T, D]` with what this part makes of its normalised rows added; a mixture
  /// also says how it routed.
  func callAsFunction(_ x_TD: Tensor, norm: RMSNorm, in context: Context) -> (
    output: Tensor, routing: Routing?
  )

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
