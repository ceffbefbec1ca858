/// A handful of linear equations with a symmetric positive definite matrix.
enum SymmetricSystem {
  /// The x with A·x = b, by Cholesky's factors; `nil` where A is not positive definite.
  static func solution(_ a_NN: [[Double]], _ b_N: [Double]) -> [Double]? {
    var factor = a_NN
    var x = b_N
    for row in x.indices {
      for column in 0...row {
        var sum = a_NN[row][column]
        for k in 0..<column { sum -= factor[row][k] * factor[column][k] }
        if column < row {
          factor[row][column] = sum / factor[column][column]
        } else {
          guard sum > 1e-14 * a_NN[row][row].magnitude, sum.isFinite else { return nil }
          factor[row][row] = sum.squareRoot()
        }
      }
      for k in 0..<row { x[row] -= factor[row][k] * x[k] }
      x[row] /= factor[row][row]
    }
    for row in x.indices.reversed() {
      for k in (row + 1)..<max(row + 1, x.count) { x[row] -= factor[k][row] * x[k] }
      x[row] /= factor[row][row]
    }
    return x
  }
}
