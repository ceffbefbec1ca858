/// Kernels of the gated activation.
package protocol SwiGLUKernels {
  /// `y = silu(gate) · up`, elementwise.
  func swigluForward(gate: Tensor, up: Tensor, into y: Tensor)
  /// Adds to or sets the gradients of `gate` and `up`. Either may be absent.
  func swigluBackward(
    _ dy: Tensor, gate: Tensor, up: Tensor, dGate: (Tensor, accumulate: Bool)?,
    dUp: (Tensor, accumulate: Bool)?)
}

extension Context {
  /// `silu(gate) · up` elementwise, with `silu(x) = x / (1 + e⁻ˣ)` (Shazeer 2020, eq. 6).
  ///
  /// - Parameters:
  ///   - gate: Gate activations, `[T, I]`.
  ///   - up: Up-projected activations, of the same shape.
  public func swiglu(gate: Tensor, up: Tensor) -> Tensor {
    precondition(
      gate.count == up.count && gate.dtype == up.dtype, "swiglu: \(gate.shape) with \(up.shape)")
    let y = empty(gate.shape, gate.dtype)
    backend.swigluForward(gate: gate, up: up, into: y)
    return record(y, from: [gate, up], SwiGLUNode(gate: gate, up: up))
  }
}

private struct SwiGLUNode: TapeNode {
  let gate: Tensor
  let up: Tensor

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0] else { return }
    if let slot = gate.slot, slot === up.slot {
      // One tensor used as both: two separate contributions to one buffer.
      let dGate = context.empty(gate.shape, gate.dtype)
      let dUp = context.empty(up.shape, up.dtype)
      context.backend.swigluBackward(
        dy, gate: gate, up: up, dGate: (dGate, accumulate: false), dUp: (dUp, accumulate: false))
      context.accumulate(dGate, into: slot)
      context.accumulate(dUp, into: slot)
      return
    }
    let dGate = gate.slot.map { context.gradientBuffer(for: $0, like: gate) }
    let dUp = up.slot.map { context.gradientBuffer(for: $0, like: up) }
    context.backend.swigluBackward(
      dy, gate: gate, up: up, dGate: dGate.map { ($0.0, accumulate: $0.1) },
      dUp: dUp.map { ($0.0, accumulate: $0.1) })
  }
}
