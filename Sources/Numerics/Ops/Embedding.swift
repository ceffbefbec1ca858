/// Kernels of table lookup.
package protocol EmbeddingKernels {
  /// `y[t] = weight[ids[t]]`, converted to the type of `y`.
  func embedding(_ ids: Tensor, weight: Tensor, into y: Tensor)
  /// `dWeight[ids[t]] += dy[t]`, in token order.
  func embeddingBackward(_ dy: Tensor, ids: Tensor, dWeight: Tensor)
}

extension Context {
  /// The rows of `weight_VD` that `ids_T` names.
  ///
  /// - Parameters:
  ///   - ids_T: Token ids in `0..<V`, `[T]`, `i32`. On the CPU an id outside stops the program.
  ///   - weight_VD: The embedding table, `[V, D]`; the gradient of a 16-bit one is `f32`.
  /// - Returns: `[T, D]`, `f64` for such a table, else of the device's activation type.
  public func embedding(_ ids_T: Tensor, weight weight_VD: Tensor) -> Tensor {
    precondition(
      ids_T.dtype == .i32 && weight_VD.shape.count == 2,
      "embedding: ids \(ids_T.dtype), table \(weight_VD.shape)")
    let y_TD = empty(
      [ids_T.count, weight_VD.columns], activationType(for: weight_VD.dtype))
    backend.embedding(ids_T, weight: weight_VD, into: y_TD)
    return record(y_TD, from: [weight_VD], EmbeddingNode(ids: ids_T, weight: weight_VD))
  }
}

private struct EmbeddingNode: TapeNode {
  let ids: Tensor
  let weight: Tensor

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0], let slot = weight.slot else { return }
    let (dWeight, accumulate) = context.gradientBuffer(
      for: slot, like: weight, as: weight.dtype.statistic)
    if !accumulate { context.backend.fillZero(dWeight) }
    context.backend.embeddingBackward(dy, ids: ids, dWeight: dWeight)
  }
}
