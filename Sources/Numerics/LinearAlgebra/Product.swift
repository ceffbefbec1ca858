extension Context {
  /// `op(a) · op(b)` for row-major matrices, without a gradient.
  ///
  /// - Parameters:
  ///   - a: The left matrix, `f32` or `f64`.
  ///   - transposeA: Whether `a` enters transposed.
  ///   - b: The right matrix, of the same element type as `a`.
  ///   - transposeB: Whether `b` enters transposed.
  package func product(
    _ a: Tensor, transposeA: Bool = false, _ b: Tensor, transposeB: Bool = false
  ) -> Tensor {
    precondition(a.dtype == b.dtype && a.dtype.isReal, "product of \(a.dtype) and \(b.dtype)")
    let c = empty([transposeA ? a.columns : a.rows, transposeB ? b.rows : b.columns], a.dtype)
    backend.matmul(
      a, transposeA: transposeA, b, transposeB: transposeB, alpha: 1, into: c, accumulate: false)
    return c
  }
}
