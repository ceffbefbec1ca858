import Formats
import Glibc
import Models

/// How well a model predicts one domain.
public struct DomainScore: Sendable, Equatable {
  /// The domain's name.
  public let domain: String
  /// Mean cross-entropy over the scored tokens, in nats.
  public let loss: Double
  /// Scored tokens.
  public let tokens: Int
  /// Windows read.
  public let windows: Int
  /// Share of scored tokens that the model ranks first.
  public let accuracy: Double
  /// Mean KL(reference ‖ model) over the scored tokens, in nats; `nil` without a reference.
  public let divergence: Double?
  /// Share of scored tokens for which both rank the same token first; `nil` without a reference.
  public let agreement: Double?
  /// Expert load per mixture layer, over all tokens of the windows; empty for a dense model.
  public let load: [ExpertLoad]

  init(_ totals: ScoreTotals, domain: String, windows: Int, hasReference: Bool) {
    self.domain = domain
    self.windows = windows
    loss = totals.loss
    tokens = totals.tokens
    accuracy = totals.correct / Double(totals.tokens)
    divergence = hasReference ? totals.divergence / Double(totals.tokens) : nil
    agreement = hasReference ? totals.agreement / Double(totals.tokens) : nil
    load = totals.load
  }

  /// `e^loss`.
  public var perplexity: Double { exp(loss) }

  /// The score for machines, without the domain's name.
  public var json: JSON {
    var object: JSONObject = [
      "loss": JSON(loss), "perplexity": JSON(perplexity), "accuracy": JSON(accuracy),
      "tokens": JSON(tokens), "windows": JSON(windows),
    ]
    if let divergence { object["kl"] = JSON(divergence) }
    if let agreement { object["agreement"] = JSON(agreement) }
    if !load.isEmpty { object["load"] = .array(load.map(\.json)) }
    return .object(object)
  }
}
