import Numerics

/// Which neurons are most active on each calibration token: CMoE's activation markers (Pei et al.
/// 2025, section 3.1).
///
/// A neuron's activation is judged by direction alone, `|silu(x̂ · ĝ_n) · (x̂ · û_n)|` with the input
/// and both rows scaled to unit length; the `perToken` largest of a token are marked.
struct ActivationMarkers {
  /// Tokens.
  let tokens: Int
  /// Neurons marked on each token.
  let perToken: Int
  /// The marked neurons, token after token, `[T, perToken]`.
  let marked_TA: [Int32]
  /// On how many tokens each neuron is marked, `[I]`.
  let counts_I: [Int32]

  init(
    _ inputs: any LayerInputs, _ weights: MLPWeights, perToken: Int, _ context: Context
  ) throws {
    let (hidden, width) = (weights.hidden, weights.width)
    let marks = min(perToken, width)
    // RMSNorm by this gain scales a row to unit length.
    let gain_D = context.tensor(
      [Float](repeating: 1 / Float(hidden).squareRoot(), count: hidden), [hidden])
    func unit(_ rows: Tensor) -> Tensor {
      context.rmsNorm(context.cast(rows, to: .f32), weight: gain_D, epsilon: 1e-20)
    }
    let (gate_ID, up_ID) = (unit(weights.gate_ID), unit(weights.up_ID))
    var marked: [Int32] = []
    marked.reserveCapacity(inputs.tokens * marks)
    var counts = [Int32](repeating: 0, count: width)
    try inputs.forEachBatch { batch in
      let x_TD = unit(batch)
      let values = context.read(
        context.swiglu(
          gate: context.linear(x_TD, weight: gate_ID), up: context.linear(x_TD, weight: up_ID)))
      for start in stride(from: 0, to: values.count, by: width) {
        for neuron in Self.largest(marks, values, start: start, count: width) {
          marked.append(neuron)
          counts[Int(neuron)] += 1
        }
      }
    }
    guard marked.count == inputs.tokens * marks else {
      throw ConstructionError(
        .damagedSource, "calibration gave \(marked.count / marks) of \(inputs.tokens) tokens")
    }
    tokens = inputs.tokens
    self.perToken = marks
    marked_TA = marked
    counts_I = counts
  }

  /// The `number` largest absolute values of a row, ties to the lower index.
  private static func largest(_ number: Int, _ values: [Float], start: Int, count: Int) -> [Int32] {
    var (best, sizes) = ([Int32](), [Float]())
    best.reserveCapacity(number + 1)
    sizes.reserveCapacity(number + 1)
    var least: Float = -1
    for index in 0..<count {
      let size = abs(values[start + index])
      guard size > least || best.count < number else { continue }
      var at = best.count
      while at > 0, sizes[at - 1] < size { at -= 1 }
      best.insert(Int32(index), at: at)
      sizes.insert(size, at: at)
      if best.count > number {
        best.removeLast()
        sizes.removeLast()
      }
      if best.count == number { least = sizes[number - 1] }
    }
    return best
  }

  /// On how many tokens each neuron is marked together with each of `centres`, `[I, C]`.
  func together(with centres: [Int32]) -> [Float] {
    let width = counts_I.count
    var centreOf = [Int32](repeating: -1, count: width)
    for (index, centre) in centres.enumerated() { centreOf[Int(centre)] = Int32(index) }
    var counts = [Float](repeating: 0, count: width * centres.count)
    for token in 0..<tokens {
      let marked = marked_TA[token * perToken..<(token + 1) * perToken]
      for other in marked where centreOf[Int(other)] >= 0 {
        let centre = Int(centreOf[Int(other)])
        for neuron in marked { counts[Int(neuron) * centres.count + centre] += 1 }
      }
    }
    return counts
  }
}
