import Numerics

/// One layer's dense SwiGLU MLP: `y = down · (silu(gate · x) ⊙ (up · x))`.
///
/// The tensors are `f32`, `bf16` or `f16`, as the checkpoint stores them.
public struct MLPWeights: Sendable {
  /// Gate projection, `[I, D]`.
  public let gate_ID: Tensor
  /// Up projection, `[I, D]`.
  public let up_ID: Tensor
  /// Down projection, `[D, I]`.
  public let down_DI: Tensor

  /// Neurons.
  public var width: Int { gate_ID.shape[0] }
  /// The model's hidden size.
  public var hidden: Int { gate_ID.shape[1] }

  /// An MLP from its three matrices, whose shapes must agree.
  public init(gate_ID: Tensor, up_ID: Tensor, down_DI: Tensor) {
    precondition(gate_ID.shape.count == 2 && gate_ID.shape == up_ID.shape)
    precondition(down_DI.shape == [gate_ID.shape[1], gate_ID.shape[0]])
    self.gate_ID = gate_ID
    self.up_ID = up_ID
    self.down_DI = down_DI
  }

  /// The activations `silu(gate · x) ⊙ (up · x)` of inputs `[T, D]`, `[T, I]`.
  func hidden(_ x_TD: Tensor, _ context: Context) -> Tensor {
    context.swiglu(
      gate: context.linear(x_TD, weight: gate_ID), up: context.linear(x_TD, weight: up_ID))
  }

  /// The MLPs of groups of neurons.
  func units(_ groups: [[Int32]], _ context: Context) -> [MLPWeights] {
    let (dense, hidden, width) = (context.read(down_DI), hidden, width)
    func rows(_ neurons: [Int32], of matrix: Tensor) -> Tensor {
      let part = context.empty([neurons.count, hidden], matrix.dtype)
      for (index, neuron) in neurons.enumerated() {
        let row = Int(neuron)
        context.copy(matrix.slice(row..<row + 1), into: part.slice(index..<index + 1))
      }
      return part
    }
    return groups.map { neurons in
      let columns = (0..<hidden).flatMap { channel in
        neurons.map { dense[channel * width + Int($0)] }
      }
      return MLPWeights(
        gate_ID: rows(neurons, of: gate_ID), up_ID: rows(neurons, of: up_ID),
        down_DI: context.tensor(columns, [hidden, neurons.count], down_DI.dtype))
    }
  }

  /// `‖column‖` of each column of the down projection: how much a neuron writes per activation.
  func downColumnNorms(_ context: Context) -> [Float] {
    context.readDoubles(context.columnSums(down_DI, squared: true)).map { Float($0.squareRoot()) }
  }

  /// Calls `body` with blocks of rows widened to `Float`, a few megabytes at a time.
  static func forEachBlock(
    of matrix: Tensor, _ context: Context, _ body: (Range<Int>, [Float]) -> Void
  ) {
    let block = max(1, (1 << 20) / max(1, matrix.columns))
    for start in stride(from: 0, to: matrix.rows, by: block) {
      let rows = start..<min(matrix.rows, start + block)
      body(rows, context.read(matrix.slice(rows)))
    }
  }
}
