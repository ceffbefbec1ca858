import Numerics

/// The check that a written layer with every expert chosen computes what the dense layer does, or
/// what its neurons do that the layer keeps, each as often as it is used; of copies, that each does.
struct LayerProof {
  /// What the check found for one layer.
  struct Finding: Equatable, Sendable {
    /// The largest difference of two outputs.
    var error: Double
    /// The largest dense output.
    var magnitude: Double

    /// The largest of both.
    func merged(with other: Finding) -> Finding {
      Finding(error: max(error, other.error), magnitude: max(magnitude, other.magnitude))
    }
  }

  /// Random inputs the layers are compared on.
  static let vectors = 64

  private let x_TD: Tensor
  private let context: Context

  init(hidden: Int, seed: UInt64, context: Context) {
    var random = RandomStream(seed: seed, purpose: RandomPurpose.proof.rawValue)
    // Uniform with unit variance, as normalised activations have.
    let bound = Float(3).squareRoot()
    x_TD = context.tensor(
      random.uniform(Self.vectors * hidden, in: -bound...bound), [Self.vectors, hidden])
    self.context = context
  }

  /// Compares the dense MLP with the sum of `count` parts, each divided by its stored scale.
  ///
  /// - Parameters:
  ///   - uses: How often each dense neuron is used; once each unless given.
  ///   - partUses: How often each neuron of a part counts; once each unless given.
  ///   - withPart: Calls its second argument with the weights and the scale of one part.
  func compare(
    _ dense: MLPWeights, uses: [Int32]? = nil, partUses: [Int32]? = nil, count: Int,
    withPart: (Int, (MLPWeights, Double) -> Void) -> Void
  ) -> Finding {
    let expected = output(of: dense, uses: uses)
    var sum = [Float](repeating: 0, count: expected.count)
    for index in 0..<count {
      withPart(index) { weights, scale in
        let factor = Float(1 / scale)
        for (index, value) in output(of: weights, uses: partUses).enumerated() {
          sum[index] += value * factor
        }
      }
    }
    var finding = Finding(error: 0, magnitude: 0)
    for (value, reference) in zip(sum, expected) {
      let difference = Double(abs(value - reference))
      // Not a number must not slip through the comparison.
      finding.error = difference.isFinite ? max(finding.error, difference) : .infinity
      finding.magnitude = max(finding.magnitude, Double(abs(reference)))
    }
    return finding
  }

  /// The largest error that rounding explains: of sums in `f32`, and of scaled weights.
  static func tolerance(magnitude: Double, rounding: Double) -> Double {
    max(1e-4, 4 * rounding) * max(magnitude, 1e-30)
  }

  private func output(of weights: MLPWeights, uses: [Int32]? = nil) -> [Float] {
    var hidden = context.swiglu(
      gate: context.linear(x_TD, weight: weights.gate_ID),
      up: context.linear(x_TD, weight: weights.up_ID))
    if let uses {
      var values = context.read(hidden)
      for index in values.indices { values[index] *= Float(uses[index % uses.count]) }
      hidden = context.tensor(values, hidden.shape, hidden.dtype)
    }
    return context.read(context.linear(hidden, weight: weights.down_DI))
  }
}
