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
