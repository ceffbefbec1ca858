/// Kernels that find the largest value of a row.
package protocol LargestKernels {
  /// The index of each row's largest value, ties to the lower one; -1 where a value is not a number
  /// or the largest is not finite.
  func largest(_ x_RV: Tensor, into index_R: Tensor)
}

extension Context {
  /// The index of the largest value of each row, ties to the lower index: what greedy decoding takes.
  ///
  /// - Parameter x_RV: Scores, `[R, V]`.
  /// - Returns: `[R]`, `i32`; -1 where a value is not a number or the largest is not finite.
  public func largest(_ x_RV: Tensor) -> Tensor {
    precondition(x_RV.columns > 0, "largest of \(x_RV.shape)")
    let index_R = empty([x_RV.rows], .i32)
    backend.largest(x_RV, into: index_R)
    return index_R
  }
}
