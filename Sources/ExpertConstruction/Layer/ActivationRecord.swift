import Numerics

/// How strongly each neuron of an MLP took part in each calibration token.
///
/// With `h = silu(gate · x) ⊙ (up · x)`, neuron `n` adds `h_n · down_n` to the output, a vector of
/// length `|h_n| · ‖down_n‖`: its weighted activation.
struct ActivationRecord {
  /// The MLP's inputs, `[T, D]`.
  let x_TD: Tensor
  /// Squared weighted activations `(|h_n| · ‖down_n‖)²`, `[T, I]`.
  let energy_TI: Tensor
  /// Mean over tokens of `|h_n|`, times `‖down_n‖`.
  let importance_I: [Float]

  init(_ inputs: any LayerInputs, _ weights: MLPWeights, _ context: Context) throws {
    let (tokens, width) = (inputs.tokens, weights.width)
    let norms = weights.downColumnNorms(context)
    let x_TD = context.empty([tokens, weights.hidden])
    let energy_TI = context.empty([tokens, width])
    var sums = [Double](repeating: 0, count: width)
    var done = 0
    try inputs.forEachBatch { batch in
      let rows = done..<done + batch.rows
      guard rows.upperBound <= tokens, batch.columns == weights.hidden else {
        throw ConstructionError(
          .damagedSource, "calibration inputs of shape \(batch.shape) do not fit this layer")
      }
      context.write(context.read(batch), toRows: rows, of: x_TD)
      var values = context.read(
        context.swiglu(
          gate: context.linear(batch, weight: weights.gate_ID),
          up: context.linear(batch, weight: weights.up_ID)))
      for row in 0..<batch.rows {
        for neuron in 0..<width {
          let weighted = abs(values[row * width + neuron]) * norms[neuron]
          sums[neuron] += Double(weighted)
          values[row * width + neuron] = weighted * weighted
        }
      }
      context.write(values, toRows: rows, of: energy_TI)
      done = rows.upperBound
    }
    guard done == tokens, sums.allSatisfy(\.isFinite) else {
      throw ConstructionError(
        .damagedSource,
        done == tokens
          ? "activations on the calibration text are not finite; check the checkpoint's weights"
          : "calibration gave \(done) of \(tokens) tokens")
    }
    self.x_TD = x_TD
    self.energy_TI = energy_TI
    importance_I = sums.map { Float($0 / Double(max(1, tokens))) }
  }

  /// Each expert's energy on each token: the sum over its neurons, `[T, E]`.
  func expertEnergy(_ split: NeuronSplit, _ context: Context) -> Tensor {
    var membership = [Float](repeating: 0, count: importance_I.count * split.experts.count)
    for (expert, neurons) in split.experts.enumerated() {
      for neuron in neurons { membership[Int(neuron) * split.experts.count + expert] = 1 }
    }
    return context.product(
      energy_TI, context.tensor(membership, [importance_I.count, split.experts.count]))
  }
}
