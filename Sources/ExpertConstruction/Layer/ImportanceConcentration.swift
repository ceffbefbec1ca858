import Formats

/// How much of a layer's importance its most important neurons hold.
public struct ImportanceConcentration: Sendable, Equatable {
  /// The layer's position in the model.
  public let layer: Int
  /// The share of all importance in the most important neurons, one for each of ``percents``.
  public let shares: [Double]

  /// Percents of the neurons, at least one neuron each.
  public static let percents = [1, 10, 25, 50]

  /// - Parameter importance: The importance of each neuron, none below 0.
  init(layer: Int, importance: [Float]) {
    self.layer = layer
    let sorted = importance.sorted(by: >)
    let total = sorted.reduce(0.0) { $0 + Double($1) }
    shares = Self.percents.map { percent in
      let count = max(1, importance.count * percent / 100)
      return total > 0 ? sorted.prefix(count).reduce(0.0) { $0 + Double($1) } / total : 0
    }
  }

  /// `{"layer": 0, "top_1": …, "top_10": …}`.
  var json: JSON {
    var object: JSONObject = ["layer": JSON(layer)]
    for (percent, share) in zip(Self.percents, shares) { object["top_\(percent)"] = JSON(share) }
    return .object(object)
  }
}
