import Formats

/// New shares of a stage's domains and what they follow from.
public struct WeightUpdate: Sendable, Equatable {
  /// One entry of the stage's data.
  public struct Entry: Sendable, Equatable {
    /// Its domain.
    public var domain: String
    /// The held-out loss of the domain, in nats.
    public var loss: Double
    /// The loss it is compared with.
    public var reference: Double
    /// Its new share; all shares add up to one.
    public var weight: Double
  }

  /// Stage name.
  public var stage: String
  /// Steps done before the shares hold.
  public var step: Int
  /// One for each entry of the stage's data.
  public var entries: [Entry]

  /// One line of the run log.
  public var json: JSONObject {
    [
      "event": "domain_weighting",
      "stage": JSON(stage),
      "step": JSON(step),
      "data": .array(
        entries.map {
          [
            "domain": JSON($0.domain), "loss": JSON($0.loss), "reference": JSON($0.reference),
            "weight": JSON($0.weight),
          ]
        }),
    ]
  }
}
