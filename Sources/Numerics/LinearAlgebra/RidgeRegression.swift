/// Least squares with a ridge: `argmin_W Σ_t ‖W·(x_t − x̄) + b − y_t‖² + λ·‖W‖²`.
///
/// The normal equations are gathered in Double from single-precision blocks. They are factored
/// once, so that targets may change between solutions.
package final class RidgeRegression {
  private let inputs: Tensor
  private let mean_D: [Double]
  private let factor: CholeskyFactor
  private let context: Context

  private static let block = 1024

  /// Prepares regressions on the rows of `inputs_TD`.
  ///
  /// - Parameters:
  ///   - inputs_TD: The inputs, `f32`.
  ///   - relativeRidge: `λ` as a fraction of the mean diagonal entry of the Gram matrix.
  ///   - intercept: Whether solutions have a bias; without it inputs are not centred.
  package init(inputs_TD: Tensor, relativeRidge: Double, intercept: Bool, context: Context)
    throws(NotPositiveDefinite)
  {
    let (rows, columns) = (inputs_TD.rows, inputs_TD.columns)
    var mean = [Double](repeating: 0, count: columns)
    var gram = [Double](repeating: 0, count: columns * columns)
    for start in stride(from: 0, to: rows, by: Self.block) {
      let x = inputs_TD.slice(start..<min(rows, start + Self.block))
      accumulate(context.read(context.product(x, transposeA: true, x)), into: &gram)
      if intercept {
        for (index, value) in context.read(x).enumerated() {
          mean[index % columns] += Double(value)
        }
      }
    }
    for column in 0..<columns { mean[column] /= Double(max(1, rows)) }
    if intercept {
      for row in 0..<columns {
        let scaled = mean[row] * Double(rows)
        for column in 0..<columns { gram[row * columns + column] -= scaled * mean[column] }
      }
    }
    var trace = 0.0
    for column in 0..<columns { trace += gram[column * columns + column] }
    let ridge = max(relativeRidge * trace / Double(columns), .leastNormalMagnitude)
    for column in 0..<columns { gram[column * columns + column] += ridge }
    factor = try CholeskyFactor(gram, order: columns)
    mean_D = intercept ? mean : []
    inputs = inputs_TD
    self.context = context
  }

  /// The weights `[E, D]` and biases `[E]` (zeros without an intercept) that best give
  /// `targets_TE`, one row of targets per input row.
  package func solve(targets_TE: Tensor) -> (weight_ED: [Float], bias_E: [Float]) {
    let outputs = targets_TE.columns
    let columns = inputs.columns
    var moments_ED = [Double](repeating: 0, count: outputs * columns)
    var targetSums = [Double](repeating: 0, count: outputs)
    for start in stride(from: 0, to: inputs.rows, by: Self.block) {
      let rows = start..<min(inputs.rows, start + Self.block)
      let y = targets_TE.slice(rows)
      accumulate(
        context.read(context.product(y, transposeA: true, inputs.slice(rows))), into: &moments_ED)
      for (index, value) in context.read(y).enumerated() {
        targetSums[index % outputs] += Double(value)
      }
    }
    if !mean_D.isEmpty {
      for output in 0..<outputs {
        for column in 0..<columns {
          moments_ED[output * columns + column] -= targetSums[output] * mean_D[column]
        }
      }
    }
    let weight_ED = factor.solve(moments_ED, count: outputs)
    var bias_E = [Float](repeating: 0, count: outputs)
    if !mean_D.isEmpty {
      for output in 0..<outputs {
        var value = targetSums[output] / Double(max(1, inputs.rows))
        for column in 0..<columns { value -= weight_ED[output * columns + column] * mean_D[column] }
        bias_E[output] = Float(value)
      }
    }
    return (weight_ED.map { Float($0) }, bias_E)
  }
}

private func accumulate(_ values: [Float], into sums: inout [Double]) {
  for index in values.indices { sums[index] += Double(values[index]) }
}
