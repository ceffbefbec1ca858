/// Kernels that repeat parts of rows.
package protocol RepeatHeadsKernels {
  /// Every run of `dim` channels of `x` becomes `times` equal runs of `y`.
  func repeatHeads(_ x: Tensor, dim: Int, times: Int, into y: Tensor)
  /// The way back: every `times` runs of `dy` are added up; sets `dx`.
  func sumHeads(_ dy: Tensor, dim: Int, times: Int, into dx: Tensor)
}

extension Context {
  /// Heads of `dim` channels repeated, each in place: keys and values that several query heads share
  /// (Ainslie et al. 2023), or a number per head for all of its channels.
  ///
  /// - Parameter x_TC: `[T, heads · dim]`.
  /// - Returns: `[T, heads · times · dim]`; the gradient of a head is the sum over its copies.
  public func repeatHeads(_ x_TC: Tensor, dim: Int, times: Int) -> Tensor {
    precondition(
      times > 0 && dim > 0 && x_TC.columns % dim == 0,
      "repeatHeads: \(x_TC.shape) in heads of \(dim), \(times) times")
    if times == 1 { return x_TC }
    let y_TC = empty([x_TC.rows, x_TC.columns * times], x_TC.dtype)
    backend.repeatHeads(x_TC, dim: dim, times: times, into: y_TC)
    return record(y_TC, from: [x_TC], RepeatHeadsNode(x: x_TC, dim: dim, times: times))
  }

  /// A row for each of `count` tokens.
  ///
  /// - Parameter x_C: `[C]`.
  /// - Returns: `[count, C]`; the gradient is the sum over the rows.
  public func repeatRow(_ x_C: Tensor, count: Int) -> Tensor {
    guard count > 0 else { return empty([0, x_C.count], x_C.dtype) }
    return repeatHeads(x_C.reshaped([1, x_C.count]), dim: x_C.count, times: count)
      .reshaped([count, x_C.count])
  }
}

private struct RepeatHeadsNode: TapeNode {
  let x: Tensor
  let dim: Int
  let times: Int

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0] else { return }
    let dx = context.empty(x.shape, x.dtype)
    context.backend.sumHeads(dy, dim: dim, times: times, into: dx)
    context.accumulate(dx, into: x.slot)
  }
}
