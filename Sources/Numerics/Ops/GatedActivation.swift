/// An elementwise function of a layer.
public enum Activation: String, CaseIterable, Sendable {
  /// `x`.
  case none
  /// `x / (1 + e⁻ˣ)`.
  case silu
  /// `max(x, 0)`.
  case relu
  /// `1 / (1 + e⁻ˣ)`.
  case sigmoid
  /// `x` above 0, `eˣ - 1` below.
  case elu
  /// `1 + elu(x)`, which is positive (Katharopoulos et al. 2020, eq. 7).
  case onePlusELU = "1+elu"
  /// `max(x, 0)²`.
  case squaredReLU = "relu2"
  /// `x²`.
  case square
}

/// Kernels of an activation that may gate something.
package protocol GatedActivationKernels {
  /// `y = activation(gate) · up`, elementwise; without `up` the activation alone.
  func gatedForward(_ activation: Activation, gate: Tensor, up: Tensor?, into y: Tensor)
  /// Sets the gradients of `gate` and `up`. Either may be absent.
  func gatedBackward(
    _ activation: Activation, _ dy: Tensor, gate: Tensor, up: Tensor?, dGate: Tensor?, dUp: Tensor?)
}

extension Context {
  /// An elementwise function.
  public func activated(_ x: Tensor, _ activation: Activation) -> Tensor {
    activation == .none ? x : gatedActivation(x, up: nil, activation)
  }

  /// `activation(gate) · up` elementwise: a gated linear unit (Shazeer 2020), or a layer's output
  /// behind a gate.
  ///
  /// - Parameters:
  ///   - gate: What goes through the activation.
  ///   - up: What is multiplied, of the same shape.
  public func gated(_ up: Tensor, by gate: Tensor, _ activation: Activation) -> Tensor {
    activation == .silu
      ? swiglu(gate: gate, up: up) : gatedActivation(gate, up: up, activation)
  }

  private func gatedActivation(_ gate: Tensor, up: Tensor?, _ activation: Activation) -> Tensor {
    precondition(
      up.map { $0.count == gate.count && $0.dtype == gate.dtype } ?? true,
      "gated: \(gate.shape) with \(up?.shape ?? [])")
    let y = empty(gate.shape, gate.dtype)
    backend.gatedForward(activation, gate: gate, up: up, into: y)
    return record(
      y, from: [gate, up], GatedActivationNode(activation: activation, gate: gate, up: up))
  }
}

private struct GatedActivationNode: TapeNode {
  let activation: Activation
  let gate: Tensor
  let up: Tensor?

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0] else { return }
    let dGate = gate.slot.map { _ in context.empty(gate.shape, gate.dtype) }
    let dUp = up?.slot.map { _ in context.empty(gate.shape, gate.dtype) }
    context.backend.gatedBackward(activation, dy, gate: gate, up: up, dGate: dGate, dUp: dUp)
    if let dGate { context.accumulate(dGate, into: gate.slot) }
    if let dUp { context.accumulate(dUp, into: up?.slot) }
  }
}
