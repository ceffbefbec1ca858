/// Kernels of products of lengths.
package protocol LengthProductKernels {
  /// `y_tg = ‖a_tg‖ · ‖b_tg‖` over the `C / G` channels of each group.
  func lengthProductForward(_ a: Tensor, _ b: Tensor, into y: Tensor)
  /// `da = dy · ‖b‖ / ‖a‖ · a` (nothing where `a` is zero), and `db` likewise; both are set.
  func lengthProductBackward(_ dy: Tensor, _ a: Tensor, _ b: Tensor, into da: Tensor, _ db: Tensor)
}

extension Context {
  /// The length of each group of channels of `a` times that of `b`, for `f32` and `f64`.
  ///
  /// - Parameters:
  ///   - a_TC: `[T, C]`, groups of `C / groups` channels one after another.
  ///   - b_TC: `[T, C]`.
  /// - Returns: `[T, groups]`.
  public func lengthProduct(_ a_TC: Tensor, _ b_TC: Tensor, groups: Int) -> Tensor {
    precondition(
      groups > 0 && a_TC.columns % groups == 0 && a_TC.shape == b_TC.shape
        && a_TC.dtype == b_TC.dtype && a_TC.dtype.isReal,
      "lengthProduct: \(a_TC.shape) and \(b_TC.shape) in \(groups) groups")
    let y_TG = empty([a_TC.rows, groups], a_TC.dtype)
    backend.lengthProductForward(a_TC, b_TC, into: y_TG)
    return record(y_TG, from: [a_TC, b_TC], LengthProductNode(a: a_TC, b: b_TC))
  }
}

private struct LengthProductNode: TapeNode {
  let a: Tensor
  let b: Tensor

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0] else { return }
    let (da, db) = (context.empty(a.shape, a.dtype), context.empty(b.shape, b.dtype))
    context.backend.lengthProductBackward(dy, a, b, into: da, db)
    context.accumulate(da, into: a.slot)
    context.accumulate(db, into: b.slot)
  }
}
