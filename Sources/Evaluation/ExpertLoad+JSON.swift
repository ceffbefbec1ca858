import Formats
import Models

extension ExpertLoad {
  /// A row of the load table for machines.
  var json: JSON {
    [
      "layer": JSON(layer), "part": JSON(part.rawValue),
      "shares": .array(shares.map { JSON($0) }), "choices": JSON(counts.reduce(0, +)),
      "normalized_entropy": JSON(normalizedEntropy), "max_share": JSON(maximumShare),
      "dead_experts": JSON(deadExperts),
    ]
  }
}
