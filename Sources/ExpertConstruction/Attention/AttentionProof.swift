import Models
import Numerics

/// The check that an attention layer with every expert chosen computes what the dense one does.
struct AttentionProof {
  private let x_TD: Tensor
  private let norm: RMSNorm
  private let layout: SequenceLayout
  private let context: Context

  /// Two documents of random rows of unit variance, as normalised activations have.
  init(hidden: Int, seed: UInt64, context: Context) {
    var random = RandomStream(seed: seed, purpose: RandomPurpose.proof.rawValue)
    let bound = Float(3).squareRoot()
    let rows = LayerProof.vectors
    x_TD = context.tensor(random.uniform(rows * hidden, in: -bound...bound), [rows, hidden])
    norm = RMSNorm(
      weight_D: context.tensor([Float](repeating: 1, count: hidden), [hidden]), epsilon: 0)
    layout = SequenceLayout(documentLengths: [rows / 3, rows - rows / 3], in: context)
    self.context = context
  }

  /// The largest difference of what both mixers add to the residual stream.
  func compare(_ dense: any TokenMixer, _ mixture: any TokenMixer) -> LayerProof.Finding {
    let expected = output(of: dense)
    let found = mixture.router?.choosingAllExperts { output(of: mixture) } ?? []
    let input = context.read(x_TD)
    guard found.count == expected.count else {
      return LayerProof.Finding(error: .infinity, magnitude: 0)
    }
    var finding = LayerProof.Finding(error: 0, magnitude: 0)
    for index in expected.indices {
      let difference = Double(abs(found[index] - expected[index]))
      finding.error = difference.isFinite ? max(finding.error, difference) : .infinity
      finding.magnitude = max(finding.magnitude, Double(abs(expected[index] - input[index])))
    }
    return finding
  }

  private func output(of mixer: any TokenMixer) -> [Float] {
    context.read(
      mixer(x_TD, norm: norm, addedTo: x_TD, layout: layout, state: nil, in: context).output)
  }
}
