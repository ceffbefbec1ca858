/// Kernels of indicator matrices.
package protocol IndicatorKernels {
  /// `y[r, c] = value` where `c` is among `columns[r, :]`, else 0.
  func indicator(of columns_RK: Tensor, value: Double, into y_RC: Tensor)
}

extension Context {
  /// The matrix with `value` in the named columns of each row and 0 elsewhere, without a gradient.
  ///
  /// - Parameters:
  ///   - columns_RK: Column numbers, `[R, K]` `i32`; those outside `0..<columns` name none.
  ///   - columns: `C`.
  ///   - value: What the named entries get.
  ///   - type: `f32` or `f64`.
  /// - Returns: `[R, C]`.
  package func indicator(
    of columns_RK: Tensor, columns: Int, value: Double = 1, as type: DType = .f32
  ) -> Tensor {
    precondition(columns_RK.dtype == .i32 && columns_RK.shape.count == 2 && type.isReal)
    let y_RC = empty([columns_RK.shape[0], columns], type)
    backend.indicator(of: columns_RK, value: value, into: y_RC)
    return y_RC
  }
}
