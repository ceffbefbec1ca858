/// Kernels that group tokens by expert.
package protocol ExpertDispatchKernels {
  /// A stable counting sort of the slots of `experts_TK` by expert, without those of expert -1.
  func groupByExpert(_ experts_TK: Tensor, counts_E: Tensor, order: Tensor, offsets: Tensor)
}

/// The slots of a ``Routing`` grouped by expert. Slot `t · K + k` is token `t`'s choice `k`.
public struct ExpertDispatch {
  /// Slots, those of expert 0 first, in token order within each expert; `[T · K]` `i32`.
  public let order: Tensor
  /// Where each expert's slots start in `order`, and the total; `[E + 1]` `i32`.
  public let offsets: Tensor
  /// Whether slots may be missing from `order`, whose end is then undefined.
  var isPartial = false
}

extension Context {
  /// Groups the tokens of `routing` by the experts they go to.
  public func dispatch(_ routing: Routing, experts: Int) -> ExpertDispatch {
    precondition(routing.counts_E.count == experts, "dispatch: \(routing.counts_E.count) experts")
    let order = empty([routing.experts_TK.count], .i32)
    let offsets = empty([experts + 1], .i32)
    backend.groupByExpert(
      routing.experts_TK, counts_E: routing.counts_E, order: order, offsets: offsets)
    return ExpertDispatch(order: order, offsets: offsets, isPartial: routing.isPartial)
  }
}
