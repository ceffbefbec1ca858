/// Kernels that multiply by random factors near one.
package protocol JitterKernels {
  /// `y[i] = x[i] · f[i] (+ y[i])` with `f[i] = 1 + size · (2 u[i] - 1)`, `u[i]` in `[0, 1)` the upper
  /// 24 bits of draw `i` of the ``RandomStream`` whose state is `seed`. One of `x` and `y` may be
  /// 16-bit while the other is `f32`.
  func jitter(_ x: Tensor, by size: Double, seed: UInt64, into y: Tensor, accumulate: Bool)
}

extension Context {
  /// `x` with every element multiplied by a factor of its own, uniform from `1 - size` to `1 + size`
  /// (Fedus et al. 2021, "Switch Transformers", section 2.2, of what the router sees).
  ///
  /// The factors are functions of `seed` and the element's place, the same on every device; backward
  /// makes them anew instead of keeping them.
  ///
  /// - Parameters:
  ///   - x_TD: Rows, `[T, D]`.
  ///   - size: From 0 to 1.
  /// - Returns: `[T, D]`, of the statistic type of `x_TD`.
  public func jittered(_ x_TD: Tensor, by size: Double, seed: UInt64) -> Tensor {
    precondition((0...1).contains(size), "jitter by \(size)")
    let y_TD = empty(x_TD.shape, x_TD.dtype.statistic)
    backend.jitter(x_TD, by: size, seed: seed, into: y_TD, accumulate: false)
    return record(y_TD, from: [x_TD], JitterNode(x: x_TD, size: size, seed: seed))
  }
}

private struct JitterNode: TapeNode {
  /// Only its slot, shape and type are of use.
  let x: Tensor
  let size: Double
  let seed: UInt64

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0], let slot = x.slot else { return }
    let (dx, accumulate) = context.gradientBuffer(for: slot, like: x)
    context.backend.jitter(dy, by: size, seed: seed, into: dx, accumulate: accumulate)
  }
}
