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
  /// Per mixture layer, how often each expert was chosen, by all tokens of the windows.
  var expertCounts: [Int: [Int]] = [:]

  /// Mean cross-entropy in nats.
  var loss: Double { crossEntropy / Double(tokens) }

  /// Adds one layer's choices.
  mutating func count(_ counts: [Int32], layer: Int) {
    var sums = expertCounts[layer] ?? [Int](repeating: 0, count: counts.count)
    for (expert, count) in counts.enumerated() { sums[expert] += Int(count) }
    expertCounts[layer] = sums
  }

  /// The load tables of the mixture layers, in order.
  var load: [ExpertLoad] {
    expertCounts.sorted { $0.key < $1.key }.map { ExpertLoad(layer: $0.key, counts: $0.value) }
  }
}
