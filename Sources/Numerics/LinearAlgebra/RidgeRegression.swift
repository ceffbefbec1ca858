/// Least squares with a ridge: `argmin_W Σ_t ‖W·(x_t − x̄) + b − y_t‖² + λ·‖W‖²`.
///
/// The normal equations are gathered in Double on the device and factored once on the host, so that
/// targets may change between solutions.
package final class RidgeRegression {
  private let inputs: Tensor
  private let mean_D: [Double]
  private let factor: CholeskyFactor
  private let context: Context

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
    let pool = context.backend.hostPool
    var gram = context.readDoubles(context.crossProduct(inputs_TD, inputs_TD))
    var mean: [Double] = []
    if intercept {
      mean = context.readDoubles(context.columnSums(inputs_TD)).map { $0 / Double(max(1, rows)) }
      gram.withUnsafeMutableBufferPointer { gram in
        mean.withUnsafeBufferPointer { mean in
          pool.forRanges(columns, minimum: max(1, parallelGrain / max(1, columns))) { range in
            for row in range {
              let scaled = mean[row] * Double(rows)
              for column in 0..<columns { gram[row * columns + column] -= scaled * mean[column] }
            }
          }
        }
      }
    }
    var trace = 0.0
    for column in 0..<columns { trace += gram[column * columns + column] }
    let ridge = max(relativeRidge * trace / Double(columns), .leastNormalMagnitude)
    for column in 0..<columns { gram[column * columns + column] += ridge }
    factor = try CholeskyFactor(gram, order: columns, pool: pool)
    mean_D = mean
    inputs = inputs_TD
    self.context = context
  }

  /// The weights `[E, D]` and biases `[E]` (zeros without an intercept) that best give
  /// `targets_TE`, one row of targets per input row.
  package func solve(targets_TE: Tensor) -> (weight_ED: [Float], bias_E: [Float]) {
    let (outputs, columns) = (targets_TE.columns, inputs.columns)
    var moments_ED = context.readDoubles(context.crossProduct(targets_TE, inputs))
    let targetSums = context.readDoubles(context.columnSums(targets_TE))
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
