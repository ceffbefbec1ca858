import COpenBLAS

/// The Cholesky factor of a symmetric positive definite matrix, ready to solve with.
package struct CholeskyFactor: Sendable {
  /// Rows and columns of the matrix.
  package let order: Int
  private let factor: [Double]

  /// Factors the matrix whose lower and upper triangles are given row-major in `matrix_NN`.
  /// - Throws: ``NotPositiveDefinite`` when there is no factor.
  package init(_ matrix_NN: consuming [Double], order: Int) throws(NotPositiveDefinite) {
    precondition(matrix_NN.count == order * order)
    var matrix = matrix_NN
    var size = Int32(order)
    var info: Int32 = 0
    // Column-major "lower" of a symmetric matrix is row-major "upper": either triangle serves.
    matrix.withUnsafeMutableBufferPointer { dpotrf_("L", &size, $0.baseAddress, &size, &info) }
    guard info == 0 else { throw NotPositiveDefinite(order: order, leadingMinor: Int(info)) }
    self.order = order
    factor = matrix
  }

  /// Solves `A · x = b` for each of `count` right-hand sides, given one after another.
  package func solve(_ rightSides: [Double], count: Int) -> [Double] {
    precondition(rightSides.count == order * count)
    var solution = rightSides
    var (size, columns, info) = (Int32(order), Int32(count), Int32(0))
    factor.withUnsafeBufferPointer { factor in
      solution.withUnsafeMutableBufferPointer {
        dpotrs_(
          "L", &size, &columns, factor.baseAddress, &size, $0.baseAddress, &size, &info)
      }
    }
    precondition(info == 0, "dpotrs: argument \(-info)")
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
