import Formats

/// The scores of a model on several domains.
public struct EvaluationResult: Sendable, Equatable {
  /// One score per domain, in the order of the data.
  public let domains: [DomainScore]

  /// A result from its parts.
  public init(domains: [DomainScore]) { self.domains = domains }

  /// The plain mean of the domains' losses, in nats.
  public var mean: Double { Self.mean(domains.map(\.loss)) ?? .nan }

  /// The plain mean of the domains' KL(reference ‖ model); `nil` without a reference.
  public var meanDivergence: Double? { Self.mean(domains.compactMap(\.divergence)) }

  /// The plain mean of the domains' top-1 agreements; `nil` without a reference.
  public var meanAgreement: Double? { Self.mean(domains.compactMap(\.agreement)) }

  /// `{"domains": {name: score}, "mean": …}`.
  public var json: JSON {
    var scores = JSONObject()
    for score in domains { scores[score.domain] = score.json }
    var object: JSONObject = ["domains": .object(scores), "mean": JSON(mean)]
    if let meanDivergence { object["mean_kl"] = JSON(meanDivergence) }
    if let meanAgreement { object["mean_agreement"] = JSON(meanAgreement) }
    return .object(object)
  }

  private static func mean(_ values: [Double]) -> Double? {
    values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
  }
}
