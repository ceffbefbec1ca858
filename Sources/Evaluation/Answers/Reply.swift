import Models
import Numerics

/// A continuation of a prompt.
public struct Reply: Sendable, Equatable {
  /// Why generation stopped.
  public enum Ending: String, Sendable {
    /// A stop token came.
    case stopToken = "stop_token"
    /// The limit of new tokens was reached.
    case limit
    /// The model's scores were not finite.
    case notFinite = "not_finite"
  }

  /// The new tokens, without the stop token.
  public var tokens: [Int32]
  /// Why there are no more.
  public var ending: Ending
}

extension TextGenerator {
  /// Reads `prompt` and continues it.
  ///
  /// - Parameters:
  ///   - prompt: At least one token.
  ///   - stops: Tokens that end the reply.
  ///   - limit: The most new tokens.
  ///   - onToken: Called with each new token.
  public func reply(
    to prompt: [Int32], sampler: inout Sampler, stops: Set<Int32>, limit: Int,
    onToken: (Int32) throws -> Void
  ) rethrows -> Reply {
    var tokens: [Int32] = []
    var unread = prompt
    while tokens.count < limit {
      guard let token = next(after: unread, &sampler) else {
        return Reply(tokens: tokens, ending: .notFinite)
      }
      if stops.contains(token) { return Reply(tokens: tokens, ending: .stopToken) }
      tokens.append(token)
      try onToken(token)
      unread = [token]
    }
    return Reply(tokens: tokens, ending: .limit)
  }
}
