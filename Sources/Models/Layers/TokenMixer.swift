import Numerics

/// The part of a block through which tokens exchange information.
public protocol TokenMixer: AnyObject {
  /// The normalised rows mixed within their documents.
  ///
  /// - Parameters:
  ///   - x_TD: The residual stream, `[T, D]`.
  ///   - norm: The norm of what is mixed.
  ///   - residual_TD: What the result is added to along with the last product, the residual stream as
  ///     a rule; `nil` for the result alone.
  ///   - layout: Documents and positions of the rows.
  ///   - state: What earlier tokens of the one document being decoded left behind; updated.
  /// - Returns: `[T, D]`; a mixture also says how it routed.
  func callAsFunction(
    _ x_TD: Tensor, norm: RMSNorm, addedTo residual_TD: Tensor?, layout: SequenceLayout,
    state: (any MixerState)?, in context: Context
  ) -> (output: Tensor, routing: Routing?)

  /// What the heads of dense attention make of the normalised rows, `[T, heads · d]`, before the
  /// output projection; `nil` for other mixers.
  func headOutputs(_ x_TD: Tensor, norm: RMSNorm, layout: SequenceLayout, in context: Context)
    -> Tensor?

  /// An empty state with room for `capacity` tokens at first.
  func makeState(capacity: Int, in context: Context) -> any MixerState

  /// Every parameter, in a fixed order.
  var parameters: [Parameter] { get }

  /// The linear maps that can have adapters.
  var projections: [LinearProjection] { get }

  /// What chooses among experts; `nil` where there are none.
  var router: ExpertRouter? { get }
}

extension TokenMixer {
  public func headOutputs(
    _ x_TD: Tensor, norm: RMSNorm, layout: SequenceLayout, in context: Context
  ) -> Tensor? { nil }

  public var router: ExpertRouter? { nil }
}

/// What a mixer remembers of a document while it is being decoded. Opaque to everything else.
public protocol MixerState: AnyObject {
  /// An independent copy: several continuations can start from one prefix.
  func fork(in context: Context) -> any MixerState
  /// The state as named tensors, to save it.
  func tensors(in context: Context) -> [(name: String, tensor: Tensor)]
  /// Sets the state from what ``tensors(in:)`` returned.
  func restore(_ tensors: [(name: String, tensor: Tensor)], in context: Context)
}
