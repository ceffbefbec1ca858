/// Kernels of sums over the rows or columns of a matrix.
package protocol SumKernels {
  /// `sums[r] = Σ_c x[r, c]`, or of the squares.
  func rowSums(of x: Tensor, squared: Bool, into sums_R: Tensor)
  /// `sums[c] += Σ_r x[r, c]`, or of the squares, in `f64`.
  func accumulateColumnSums(of x: Tensor, squared: Bool, into sums_C: Tensor)
}

extension Context {
  /// The sum of each row, or of its squares, without a gradient.
  ///
  /// - Parameters:
  ///   - x_RC: `[R, C]`, of any real or 16-bit type.
  ///   - squared: Whether entries are squared first.
  /// - Returns: `[R]`, `f32` (`f64` for `f64`).
  package func rowSums(_ x_RC: Tensor, squared: Bool = false) -> Tensor {
    let sums_R = empty([x_RC.rows], x_RC.dtype.statistic)
    backend.rowSums(of: x_RC, squared: squared, into: sums_R)
    return sums_R
  }

  /// The sum of each column, or of its squares, added up in Double, without a gradient.
  ///
  /// - Parameters:
  ///   - x_RC: `[R, C]`, of any real or 16-bit type.
  ///   - squared: Whether entries are squared first.
  /// - Returns: `[C]`, `f64`.
  package func columnSums(_ x_RC: Tensor, squared: Bool = false) -> Tensor {
    let sums_C = zeros([x_RC.columns], .f64)
    backend.accumulateColumnSums(of: x_RC, squared: squared, into: sums_C)
    return sums_C
  }
}
