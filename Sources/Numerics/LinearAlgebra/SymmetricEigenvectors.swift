import COpenBLAS

/// The eigenvalues of a symmetric matrix and their vectors, largest first.
package struct SymmetricEigenvectors: Sendable {
  /// Descending.
  package let values: [Double]
  /// One vector of length 1 per value, `[N, N]` row-major.
  package let vectors_NN: [Double]

  /// Decomposes the matrix whose upper and lower triangles are given row-major in `matrix_NN`.
  /// - Returns: `nil` where the values do not converge: for matrices that are not finite.
  package init?(_ matrix_NN: [Double], order: Int) {
    precondition(order > 0 && matrix_NN.count == order * order)
    guard matrix_NN.allSatisfy(\.isFinite) else { return nil }
    var (matrix, ascending) = (matrix_NN, [Double](repeating: 0, count: order))
    var (size, info) = (Int32(order), Int32(0))
    var workCount = Int32(1 + 6 * order + 2 * order * order)
    var integerCount = Int32(3 + 5 * order)
    var work = [Double](repeating: 0, count: Int(workCount))
    var integers = [Int32](repeating: 0, count: Int(integerCount))
    dsyevd_(
      "V", "L", &size, &matrix, &size, &ascending, &work, &workCount, &integers, &integerCount,
      &info)
    guard info == 0 else { return nil }
    values = ascending.reversed()
    vectors_NN = (0..<order).reversed().flatMap { matrix[$0 * order..<($0 + 1) * order] }
  }
}
