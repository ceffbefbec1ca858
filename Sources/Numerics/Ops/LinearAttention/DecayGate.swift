/// Kernels of a forget gate.
package protocol DecayGateKernels {
  /// `logDecay = ln(b + (1 - b) · sigmoid(x)) / temperature` with `b` the channel's lower bound, 0
  /// without; `rest = 1 - exp(logDecay)` where wanted.
  func decayGateForward(
    _ x: Tensor, lowerBound: Tensor?, temperature: Double, logDecay: Tensor, rest: Tensor?)
  /// Sets `dx` and `dLowerBound`, which may be absent, as may one of the two gradients.
  func decayGateBackward(
    dLogDecay: Tensor?, dRest: Tensor?, _ x: Tensor, lowerBound: Tensor?, temperature: Double,
    dx: Tensor, dLowerBound: Tensor?)
  /// `bound_c = Σ_(0 < j ≤ row) softmax over rows (table)_jc`.
  func lowerBoundForward(_ table: Tensor, row: Int, into bound: Tensor)
  /// Sets `dTable`.
  func lowerBoundBackward(_ dBound: Tensor, table: Tensor, row: Int, dTable: Tensor)
}

extension Context {
  /// A forget gate as linear attention takes it: `ln f / temperature` of
  /// `f = b + (1 - b) · sigmoid(x)` (Qin et al. 2024, "HGRN2", eq. 3; the temperature is that of
  /// Yang et al. 2024, "Gated Linear Attention", section 4.4).
  ///
  /// - Parameters:
  ///   - x_TC: What the gate's projection gave, `[T, C]`.
  ///   - lowerBound_C: The least each channel keeps, from 0 up to and without 1, `[C]`; `nil`: 0.
  ///   - temperature: At 16 a gate forgets little.
  ///   - givesRest: Whether to return what the gate does not keep.
  /// - Returns: The log-decay, `[T, C]` of the statistic type, and `1 - exp(logDecay)`, of the type of
  ///   `x_TC`: the tied key of HGRN2.
  public func decayGate(
    _ x_TC: Tensor, lowerBound lowerBound_C: Tensor? = nil, temperature: Double = 1,
    givesRest: Bool = false
  ) -> (logDecay: Tensor, rest: Tensor?) {
    precondition(
      lowerBound_C.map { $0.count == x_TC.columns && $0.dtype == x_TC.dtype.statistic } ?? true,
      "decayGate: \(x_TC.shape) with bounds \(lowerBound_C?.shape ?? [])")
    let logDecay = empty(x_TC.shape, x_TC.dtype.statistic)
    let rest = givesRest ? empty(x_TC.shape, x_TC.dtype) : nil
    backend.decayGateForward(
      x_TC, lowerBound: lowerBound_C, temperature: temperature, logDecay: logDecay, rest: rest)
    let outputs = record(
      [logDecay] + (rest.map { [$0] } ?? []), from: [x_TC, lowerBound_C],
      DecayGateNode(x: x_TC, lowerBound: lowerBound_C, temperature: temperature))
    return (outputs[0], outputs.count > 1 ? outputs[1] : nil)
  }

  /// The lower bounds of one layer's forget gates, from a table that all layers share: the cumulative
  /// sum over the layers of the table's softmax over the layers, without the first row (Qin et al.
  /// 2023, "HGRN", section 3.2). Row 0 is 0 and the last stays below 1.
  ///
  /// - Parameter table_LC: `[layers, C]`.
  /// - Returns: `[C]`.
  public func lowerBound(_ table_LC: Tensor, row: Int) -> Tensor {
    precondition((0..<table_LC.rows).contains(row), "row \(row) of bounds \(table_LC.shape)")
    let bound_C = empty([table_LC.columns], table_LC.dtype)
    backend.lowerBoundForward(table_LC, row: row, into: bound_C)
    return record(bound_C, from: [table_LC], LowerBoundNode(table: table_LC, row: row))
  }
}

private struct DecayGateNode: TapeNode {
  let x: Tensor
  let lowerBound: Tensor?
  let temperature: Double

  func backward(_ gradients: [Tensor?], in context: Context) {
    let dx = context.empty(x.shape, x.dtype)
    let dBound = lowerBound.flatMap { bound in
      bound.slot.map { _ in context.empty(bound.shape, bound.dtype) }
    }
    context.backend.decayGateBackward(
      dLogDecay: gradients[0], dRest: gradients.count > 1 ? gradients[1] : nil, x,
      lowerBound: lowerBound, temperature: temperature, dx: dx, dLowerBound: dBound)
    context.accumulate(dx, into: x.slot)
    if let dBound { context.accumulate(dBound, into: lowerBound?.slot) }
  }
}

private struct LowerBoundNode: TapeNode {
  let table: Tensor
  let row: Int

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dBound = gradients[0] else { return }
    let dTable = context.empty(table.shape, table.dtype)
    context.backend.lowerBoundBackward(dBound, table: table, row: row, dTable: dTable)
    context.accumulate(dTable, into: table.slot)
  }
}
