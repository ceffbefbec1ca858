import Numerics

/// The score below which experts are not used, such that tokens use a wanted number on average
/// (one threshold for all tokens, as measured best in public work on CMoE; D2DMoE's is relative to
/// each token's largest score).
enum ScoreThreshold {
  /// Calibrates the threshold of one layer.
  ///
  /// - Parameters:
  ///   - mean: Experts per token on average, from 1 to the layer's top-k.
  ///   - router: The layer's router.
  static func keeping(_ mean: Double, _ router: Router, _ layer: LayerUnderConstruction) throws
    -> Double
  {
    let (topK, experts) = (layer.geometry.topK, layer.geometry.experts)
    let record = try layer.activations()
    let scores = layer.context.read(router.scores(record.x_TD, layer.context))
    // A token's first choice is always used: the others compete for what is left.
    var others: [Float] = []
    for start in stride(from: 0, to: scores.count, by: experts) {
      let row = scores[start..<start + experts].sorted(by: >)
      others += row[1..<topK]
    }
    others.sort(by: >)
    let wanted = Int((Double(record.x_TD.rows) * (mean - 1)).rounded())
    guard wanted > 0, let largest = others.first else {
      return (others.first.map { Double($0) } ?? 0) + 1
    }
    guard wanted < others.count else {
      return Double(others[others.count - 1]) - abs(Double(largest)) - 1
    }
    return (Double(others[wanted - 1]) + Double(others[wanted])) / 2
  }
}
