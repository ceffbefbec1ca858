/// Kernels of rotary position embedding.
package protocol RoPEKernels {
  /// Cosines and sines of `positions[t] · inverseFrequencies[i]`, each `[T, d/2]`.
  func ropeTable(positions: Tensor, inverseFrequencies: Tensor, cosines: Tensor, sines: Tensor)
  /// `y (+)= x` with each head's pairs `(i, i + d/2)` turned by their angle, or back by it.
  func rope(
    _ x: Tensor, cosines: Tensor, sines: Tensor, heads: Int, inverse: Bool, into y: Tensor,
    accumulate: Bool)
}

extension Context {
  /// Rotary position embedding (Su et al. 2021, eq. 34), in the layout Hugging Face checkpoints use:
  /// channel `i` of a head pairs with channel `i + d/2`.
  ///
  /// Angles are the product of position and inverse frequency rounded to `f32`, or `f64` with `x`.
  ///
  /// - Parameters:
  ///   - x_TC: Queries or keys, `[T, heads · d]` with even `d`.
  ///   - positions: Position of each token in its document, `[T]`, `i32`.
  ///   - inverseFrequencies: Radians per position, `[d/2]`.
  ///   - heads: Heads in a row of `x_TC`.
  public func rope(_ x_TC: Tensor, positions: Tensor, inverseFrequencies: Tensor, heads: Int)
    -> Tensor
  {
    let half = inverseFrequencies.count
    precondition(
      x_TC.columns == heads * 2 * half && positions.count == x_TC.rows && positions.dtype == .i32,
      "rope: \(x_TC.shape) with \(positions.count) positions, \(heads) heads, \(half) frequencies")
    let type = x_TC.dtype.statistic
    let cosines = empty([x_TC.rows, half], type)
    let sines = empty([x_TC.rows, half], type)
    backend.ropeTable(
      positions: positions, inverseFrequencies: cast(inverseFrequencies, to: type),
      cosines: cosines, sines: sines)
    let y_TC = empty(x_TC.shape, x_TC.dtype)
    backend.rope(
      x_TC, cosines: cosines, sines: sines, heads: heads, inverse: false, into: y_TC,
      accumulate: false)
    return record(
      y_TC, from: [x_TC],
      RoPENode(x: x_TC.slot, cosines: cosines, sines: sines, heads: heads))
  }
}

/// A rotation's gradient is the rotation by the negative angle.
private struct RoPENode: TapeNode {
  let x: GradientSlot?
  let cosines: Tensor
  let sines: Tensor
  let heads: Int

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0], let x else { return }
    let (dx, accumulate) = context.gradientBuffer(for: x, like: dy)
    context.backend.rope(
      dy, cosines: cosines, sines: sines, heads: heads, inverse: true, into: dx,
      accumulate: accumulate)
  }
}
