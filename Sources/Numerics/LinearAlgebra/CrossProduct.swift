/// Kernels of products that are summed over many rows.
package protocol CrossProductKernels {
  /// `c = aᵀ · b` in `f64`.
  func crossProduct(_ a_RM: Tensor, _ b_RN: Tensor, into c_MN: Tensor)
}

extension Context {
  /// `aᵀ · b`, summed over rows in Double, without a gradient: Gram matrices and moments.
  ///
  /// Products of `f32` may be formed in single precision over up to 1024 rows before they are added.
  ///
  /// - Parameters:
  ///   - a_RM: `[R, M]`, `f32` or `f64`.
  ///   - b_RN: `[R, N]`, of the same type.
  /// - Returns: `[M, N]`, `f64`.
  package func crossProduct(_ a_RM: Tensor, _ b_RN: Tensor) -> Tensor {
    precondition(a_RM.rows == b_RN.rows && a_RM.dtype == b_RN.dtype && a_RM.dtype.isReal)
    let c_MN = empty([a_RM.columns, b_RN.columns], .f64)
    backend.crossProduct(a_RM, b_RN, into: c_MN)
    return c_MN
  }
}
