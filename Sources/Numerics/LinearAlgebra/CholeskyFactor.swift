import COpenBLAS

/// The Cholesky factor of a symmetric positive definite matrix, ready to solve with.
///
/// Factored in blocks of columns whose parts the pool's threads share: BLAS itself stays
/// single-threaded. The parts depend on the order alone, so the number of threads changes nothing.
package struct CholeskyFactor: Sendable {
  /// Rows and columns of the matrix.
  package let order: Int
  private let factor: [Double]
  private let pool: ThreadPool

  /// Columns factored at a time, and rows or columns of one task.
  private static let block = 256

  /// Factors the matrix whose lower and upper triangles are given row-major in `matrix_NN`.
  /// - Throws: ``NotPositiveDefinite`` when there is no factor.
  package init(_ matrix_NN: consuming [Double], order: Int, pool: ThreadPool)
    throws(NotPositiveDefinite)
  {
    precondition(matrix_NN.count == order * order)
    var matrix = matrix_NN
    // Column-major "lower" of a symmetric matrix is row-major "upper": either triangle serves.
    let failure = matrix.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.map { Self.factor($0, order, pool) } ?? 0
    }
    guard failure == 0 else { throw NotPositiveDefinite(order: order, leadingMinor: failure) }
    self.order = order
    self.pool = pool
    factor = matrix
  }

  /// Factors the lower triangle of a column-major matrix in place; 0, or the leading minor that is
  /// not positive.
  private static func factor(
    _ matrix: UnsafeMutablePointer<Double>, _ order: Int, _ pool: ThreadPool
  )
    -> Int
  {
    var stride = Int32(order)
    for start in Swift.stride(from: 0, to: order, by: block) {
      let end = min(order, start + block)
      let diagonal = matrix + start * order + start
      var (size, info) = (Int32(end - start), Int32(0))
      dpotrf_("L", &size, diagonal, &stride, &info)
      guard info == 0 else { return start + Int(info) }
      let tasks = (order - end + block - 1) / block
      // The columns' rows below: L₂₁ = A₂₁ · L₁₁⁻ᵀ.
      pool.run(tasks) { task in
        let first = end + task * block
        cblas_dtrsm(
          CblasColMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit,
          Int32(min(order, first + block) - first), Int32(end - start), 1, diagonal, Int32(order),
          matrix + start * order + first, Int32(order))
      }
      // What remains: A₂₂ -= L₂₁ · L₂₁ᵀ, columns that reach furthest down first.
      pool.run(tasks) { task in
        let first = end + task * block
        let rows = matrix + start * order + first
        cblas_dgemm(
          CblasColMajor, CblasNoTrans, CblasTrans, Int32(order - first),
          Int32(min(order, first + block) - first), Int32(end - start), -1, rows, Int32(order),
          rows, Int32(order), 1, matrix + first * order + first, Int32(order))
      }
    }
    return 0
  }

  /// Solves `A · x = b` for each of `count` right-hand sides, given one after another.
  package func solve(_ rightSides: [Double], count: Int) -> [Double] {
    precondition(rightSides.count == order * count)
    var solution = rightSides
    let (order, pool) = (order, pool)
    factor.withUnsafeBufferPointer { factor in
      solution.withUnsafeMutableBufferPointer { solution in
        guard let first = solution.baseAddress else { return }
        // A few sides at a time: every task reads the whole factor.
        let step = 4
        pool.run((count + step - 1) / step) { task in
          var (size, columns, info) = (
            Int32(order), Int32(min(step, count - task * step)), Int32(0)
          )
          var stride = size
          dpotrs_(
            "L", &size, &columns, factor.baseAddress, &stride, first + task * step * order, &size,
            &info)
          precondition(info == 0, "dpotrs: argument \(-info)")
        }
      }
    }
    return solution
  }
}

/// A matrix without a Cholesky factor: not positive definite, or not finite.
package struct NotPositiveDefinite: Error, CustomStringConvertible, Sendable {
  package let order: Int
  package let leadingMinor: Int

  package var description: String {
    "the \(order) x \(order) matrix is not positive definite (leading minor \(leadingMinor)); "
      + "use more or more varied data, or a stronger ridge"
  }
}
