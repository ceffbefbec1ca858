/// Kernels for sums of tensors.
package protocol ElementwiseKernels {
  /// `sum = a + b`; `sum` may be `a`.
  func add(_ a: Tensor, _ b: Tensor, into sum: Tensor)
  /// `y = alpha · x (+ y)`.
  func scale(_ x: Tensor, by alpha: Double, into y: Tensor, accumulate: Bool)
  /// `y = alpha · scalar · x (+ y)` with `scalar` a one-element tensor.
  func scale(_ x: Tensor, by alpha: Double, times scalar: Tensor, into y: Tensor, accumulate: Bool)
  /// Conversion between element types.
  func cast(_ x: Tensor, into y: Tensor)
}

extension Context {
  /// `a + b`, the residual connection.
  public func add(_ a: Tensor, _ b: Tensor) -> Tensor {
    precondition(a.count == b.count && a.dtype == b.dtype)
    let sum = empty(a.shape, a.dtype)
    backend.add(a, b, into: sum)
    return record(sum, from: [a, b], AddNode(a: a.slot, b: b.slot))
  }

  /// `a - b`.
  public func subtract(_ a: Tensor, _ b: Tensor) -> Tensor {
    precondition(a.count == b.count && a.dtype == b.dtype)
    let difference = empty(a.shape, a.dtype)
    backend.scale(b, by: -1, into: difference, accumulate: false)
    backend.add(difference, a, into: difference)
    return record(difference, from: [a, b], SubtractNode(a: a.slot, b: b.slot))
  }

  /// `factor · x`.
  public func scaled(_ x: Tensor, by factor: Double) -> Tensor {
    if factor == 1 { return x }
    let y = empty(x.shape, x.dtype)
    backend.scale(x, by: factor, into: y, accumulate: false)
    return record(y, from: [x], ScaledNode(x: x.slot, factor: factor))
  }

  /// `Σ weight · scalar` over one-element tensors: the total of several losses.
  public func weightedSum(_ terms: [(weight: Double, scalar: Tensor)]) -> Tensor {
    precondition(!terms.isEmpty)
    let total = empty([], terms[0].scalar.dtype)
    for (index, term) in terms.enumerated() {
      backend.scale(term.scalar, by: term.weight, into: total, accumulate: index > 0)
    }
    return record(
      total, from: terms.map(\.scalar),
      WeightedSumNode(terms: terms.map { ($0.weight, $0.scalar.slot) }))
  }

  /// Copies the values of `source` into the memory of `destination`; no gradient flows.
  public func copy(_ source: Tensor, into destination: Tensor) {
    backend.copy(source, into: destination)
  }

  /// The values in another element type; no gradient flows.
  public func cast(_ x: Tensor, to dtype: DType) -> Tensor {
    if x.dtype == dtype { return x.detached() }
    let y = empty(x.shape, dtype)
    backend.cast(x, into: y)
    return y
  }
}

extension Context {
  /// The values in another element type; the gradient comes back in the one they had.
  public func converted(_ x: Tensor, to dtype: DType) -> Tensor {
    if x.dtype == dtype { return x }
    let y = empty(x.shape, dtype)
    backend.cast(x, into: y)
    return record(y, from: [x], ConvertedNode(slot: x.slot, dtype: x.dtype))
  }
}

private struct ConvertedNode: TapeNode {
  let slot: GradientSlot?
  let dtype: DType

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0] else { return }
    context.accumulate(context.cast(dy, to: dtype), into: slot)
  }
}

private struct AddNode: TapeNode {
  let a: GradientSlot?
  let b: GradientSlot?

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0] else { return }
    context.accumulate(dy, into: a)
    context.accumulate(dy, into: b)
  }
}

private struct SubtractNode: TapeNode {
  let a: GradientSlot?
  let b: GradientSlot?

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0] else { return }
    context.accumulate(dy, into: a)
    guard b != nil else { return }
    let negative = context.empty(dy.shape, dy.dtype)
    context.backend.scale(dy, by: -1, into: negative, accumulate: false)
    context.accumulate(negative, into: b)
  }
}

private struct ScaledNode: TapeNode {
  let x: GradientSlot?
  let factor: Double

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0], x != nil else { return }
    let dx = context.empty(dy.shape, dy.dtype)
    context.backend.scale(dy, by: factor, into: dx, accumulate: false)
    context.accumulate(dx, into: x)
  }
}

private struct WeightedSumNode: TapeNode {
  let terms: [(weight: Double, slot: GradientSlot?)]

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0] else { return }
    for (weight, slot) in terms where slot != nil {
      let scaled = context.empty(dy.shape, dy.dtype)
      context.backend.scale(dy, by: weight, into: scaled, accumulate: false)
      context.accumulate(scaled, into: slot)
    }
  }
}
