import Numerics

/// How strongly each neuron of an MLP took part in each calibration token.
///
/// With `h = silu(gate · x) ⊙ (up · x)`, neuron `n` adds `h_n · down_n` to the output, a vector of
/// length `|h_n| · ‖down_n‖`: its weighted activation.
final class ActivationRecord {
  /// The MLP's inputs, `[T, D]`.
  let x_TD: Tensor
  /// Squared weighted activations `(|h_n| · ‖down_n‖)²`, `[T, I]`.
  let energy_TI: Tensor
  /// Mean over tokens of `|h_n|`, times `‖down_n‖`.
  let importance_I: [Float]
  private let context: Context
  /// With and without an intercept.
  private var regressions: [Bool: RidgeRegression] = [:]

  init(_ inputs: any LayerInputs, _ weights: MLPWeights, _ context: Context) throws {
    let (tokens, width) = (inputs.tokens, weights.width)
    let norms_I = context.tensor(weights.downColumnNorms(context), [width])
    let x_TD = context.empty([tokens, weights.hidden])
    let energy_TI = context.empty([tokens, width])
    let sums_I = context.zeros([width], .f64)
    var done = 0
    try inputs.forEachBatch { batch in
      let rows = done..<done + batch.rows
      guard rows.upperBound <= tokens, batch.columns == weights.hidden else {
        throw ConstructionError(
          .damagedSource, "calibration inputs of shape \(batch.shape) do not fit this layer")
      }
      context.copy(context.cast(batch, to: .f32), into: x_TD.slice(rows))
      let hidden_TI = context.swiglu(
        gate: context.linear(batch, weight: weights.gate_ID),
        up: context.linear(batch, weight: weights.up_ID))
      context.weightedEnergy(
        hidden_TI, weights: norms_I, into: energy_TI.slice(rows), sums: sums_I)
      done = rows.upperBound
    }
    let sums = context.readDoubles(sums_I)
    guard done == tokens, sums.allSatisfy(\.isFinite) else {
      throw ConstructionError(
        .damagedSource,
        done == tokens
          ? "activations on the calibration text are not finite; check the checkpoint's weights"
          : "calibration gave \(done) of \(tokens) tokens")
    }
    self.x_TD = x_TD
    self.energy_TI = energy_TI
    self.context = context
    importance_I = sums.map { Float($0 / Double(max(1, tokens))) }
  }

  /// Each expert's energy on each token: the sum over its neurons, `[T, E]`.
  func expertEnergy(_ split: NeuronSplit) -> Tensor {
    let width = importance_I.count
    let (experts, most) = split.expertsOfNeurons(width: width)
    return context.product(
      energy_TI,
      context.indicator(
        of: context.tensor(experts, [width, most]), columns: split.experts.count))
  }

  /// The `count` of the given neurons that are most active on each token, as indices into `neurons`,
  /// ascending; neurons that are silent on a token are not among them. Ties go to the lower index.
  func mostActive(_ count: Int, of neurons: [Int32]) -> [[Int32]] {
    let (tokens, width) = (energy_TI.rows, energy_TI.columns)
    var result = [[Int32]](repeating: [], count: tokens)
    let block = max(1, (1 << 24) / max(1, width))
    for start in stride(from: 0, to: tokens, by: block) {
      let rows = start..<min(tokens, start + block)
      let energies = context.read(energy_TI.slice(rows))
      result.withUnsafeMutableBufferPointer { result in
        let target = result
        context.backend.hostPool.run(rows.count) { row in
          var heap = LargestHeap(capacity: count)
          for (index, neuron) in neurons.enumerated() {
            heap.offer(energies[row * width + Int(neuron)], Int32(index))
          }
          target[start + row] = heap.indices.sorted()
        }
      }
    }
    return result
  }

  /// Weighted activations `|h_n| · ‖down_n‖` of some neurons, `[N, T]`.
  func norms(of neurons: [Int32]) -> Tensor {
    // One row per neuron: the transpose of the picked columns.
    let picked = context.indicator(of: neurons, columns: importance_I.count)
    let energy_NT = context.product(picked, energy_TI, transposeB: true)
    return context.tensor(
      context.read(energy_NT).map { max(0, $0).squareRoot() }, energy_NT.shape)
  }

  /// The regression on the inputs that routers are fitted by, prepared at first use.
  func regression(intercept: Bool) throws -> RidgeRegression {
    if let regression = regressions[intercept] { return regression }
    let made = try RidgeRegression(
      inputs_TD: x_TD, relativeRidge: RegressedRouter.relativeRidge, intercept: intercept,
      context: context)
    regressions[intercept] = made
    return made
  }
}

extension Context {
  /// The matrix `[rows, columns]` whose row `i` holds `value` in column `columnOf[i]`, else 0.
  func indicator(of columnOf: [Int32], columns: Int, value: Double = 1) -> Tensor {
    indicator(of: tensor(columnOf, [columnOf.count, 1]), columns: columns, value: value)
  }
}
