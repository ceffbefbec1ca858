import Models

/// Sums over scored tokens, from which every mean is taken once at the end.
struct ScoreTotals {
  /// Σ −ln p(target), in nats.
  var crossEntropy = 0.0
  /// Scored tokens.
  var tokens = 0
  /// Tokens whose target ranks first.
  var correct = 0.0
  /// Σ KL(reference ‖ model), in nats.
  var divergence = 0.0
  /// Tokens for which model and reference rank the same token first.
  var agreement = 0.0
  /// How each mixture layer's experts were chosen by all tokens of the windows, in order.
  private(set) var load: [ExpertLoad] = []

  /// Mean cross-entropy in nats.
  var loss: Double { crossEntropy / Double(tokens) }

  /// Adds one layer's choices.
  mutating func count(_ counts: [Int32], layer: Int, part: BlockPart) {
    guard let index = load.firstIndex(where: { $0.layer == layer && $0.part == part }) else {
      load.append(ExpertLoad(layer: layer, part: part, counts: counts.map { Int($0) }))
      return
    }
    let sums = zip(load[index].counts, counts).map { $0 + Int($1) }
    load[index] = ExpertLoad(layer: layer, part: part, counts: sums)
  }
}
