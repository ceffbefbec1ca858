/// Kernels that move each expert's part of a token's row to where that expert's tokens lie together.
///
/// A row of `x_TC` is `E` parts of `w` channels. Position `p` of a dispatch is slot `order[p]`, so
/// token `order[p] / K` and expert `experts_TK[order[p]]`.
package protocol ExpertPackingKernels {
  /// `y[p] = x[token(p), expert(p)]`.
  func packExperts(_ x_TC: Tensor, experts_TK: Tensor, order: Tensor, into y_PW: Tensor)
  /// `y[token(p), expert(p)] = x[p]`, and 0 where a token did not choose an expert.
  func unpackExperts(_ x_PW: Tensor, experts_TK: Tensor, order: Tensor, into y_TC: Tensor)
  /// The first position of the expert of `p` whose token is at least `documentStarts[token(p)]` and
  /// at least `token(p) - window + 1` (a window of 0: no bound).
  func packedStarts(
    _ documentStarts_T: Tensor, experts_TK: Tensor, dispatch: ExpertDispatch, window: Int,
    into starts_P: Tensor)
}

extension Context {
  /// Each routed token's part for its expert, tokens of expert 0 first: the rows on which experts
  /// with projections of their own work.
  ///
  /// - Parameters:
  ///   - x_TC: `[T, E · w]`, expert after expert.
  ///   - routing: Chosen experts, `[T, K]`.
  ///   - dispatch: The same, grouped by expert.
  /// - Returns: `[T · K, w]`, in the dispatch's order.
  public func packExperts(_ x_TC: Tensor, _ routing: Routing, _ dispatch: ExpertDispatch) -> Tensor
  {
    let experts = dispatch.offsets.count - 1
    precondition(!routing.isPartial, "packExperts: every choice is a row, so none may be dropped")
    precondition(
      x_TC.columns % experts == 0 && routing.experts_TK.rows == x_TC.rows,
      "packExperts: \(x_TC.shape) for \(experts) experts, choices \(routing.experts_TK.shape)")
    let y_PW = empty([dispatch.order.count, x_TC.columns / experts], x_TC.dtype)
    backend.packExperts(x_TC, experts_TK: routing.experts_TK, order: dispatch.order, into: y_PW)
    return record(
      y_PW, from: [x_TC],
      PackNode(
        x: x_TC.slot, shape: x_TC.shape, experts: routing.experts_TK, order: dispatch.order,
        isPacking: true))
  }

  /// What ``packExperts(_:_:_:)`` undoes: rows back at their token and expert, zeros elsewhere.
  ///
  /// - Parameter x_PW: `[T · K, w]`, in the dispatch's order.
  /// - Returns: `[T, E · w]`.
  public func unpackExperts(_ x_PW: Tensor, _ routing: Routing, _ dispatch: ExpertDispatch)
    -> Tensor
  {
    precondition(
      x_PW.rows == dispatch.order.count,
      "unpackExperts: \(x_PW.shape) for \(dispatch.order.count) slots")
    let y_TC = empty(
      [routing.experts_TK.rows, (dispatch.offsets.count - 1) * x_PW.columns], x_PW.dtype)
    backend.unpackExperts(x_PW, experts_TK: routing.experts_TK, order: dispatch.order, into: y_TC)
    return record(
      y_TC, from: [x_PW],
      PackNode(
        x: x_PW.slot, shape: x_PW.shape, experts: routing.experts_TK, order: dispatch.order,
        isPacking: false))
  }

  /// Where attention over packed rows begins: documents split further by expert.
  ///
  /// - Parameters:
  ///   - layout: The documents of the tokens before packing.
  ///   - window: Tokens a token sees, itself included, counted before packing; `nil`: all.
  /// - Returns: For each packed row the first it sees, `[T · K]` `i32`.
  public func packedStarts(
    _ layout: SequenceLayout, _ routing: Routing, _ dispatch: ExpertDispatch, window: Int? = nil
  ) -> Tensor {
    precondition(layout.count == routing.experts_TK.rows && window ?? 1 > 0)
    let starts_P = empty([dispatch.order.count], .i32)
    backend.packedStarts(
      layout.documentStarts_T, experts_TK: routing.experts_TK, dispatch: dispatch,
      window: window ?? 0, into: starts_P)
    return starts_P
  }
}

/// Packing and unpacking are each other's transpose.
private struct PackNode: TapeNode {
  let x: GradientSlot?
  let shape: [Int]
  let experts: Tensor
  let order: Tensor
  let isPacking: Bool

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0], let x else { return }
    let dx = context.empty(shape, dy.dtype)
    let width = isPacking ? dy.count / max(1, order.count) : shape[shape.count - 1]
    if isPacking {
      context.backend.unpackExperts(
        dy.reshaped([order.count, width]), experts_TK: experts, order: order, into: dx)
    } else {
      let columns = dy.count / max(1, experts.rows)
      context.backend.packExperts(
        dy.reshaped([experts.rows, columns]), experts_TK: experts, order: order, into: dx)
    }
    context.accumulate(dx, into: x)
  }
}
