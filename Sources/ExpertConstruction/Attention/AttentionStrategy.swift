import Models
import Numerics

/// A way of making experts of a dense attention layer. The projections keep their bytes: a strategy
/// decides which heads belong to which expert, and makes the router.
public protocol AttentionStrategy: Sendable {
  /// What it does, in one line.
  var summary: String { get }
  /// Where it comes from: authors, year, title.
  var source: String { get }
  /// What it needs besides weights.
  var data: String { get }
  /// What it costs, in words.
  var cost: String { get }
  /// Sizes for `attention` where `settings` leave them open.
  /// - Throws: ``ConstructionError`` with sizes that work.
  func geometry(_ settings: AttentionSettings, for attention: AttentionConfiguration) throws
    -> AttentionGeometry
  /// How the outputs of `topK` chosen experts are weighted.
  ///
  /// - Parameter isRandom: Whether routers are random, so that scores mean nothing at first.
  func combination(topK: Int, isRandom: Bool) -> Combination
  /// What an expert is.
  var kind: AttentionMixtureConfiguration.Kind { get }
}

/// The attention strategies by the names users give them.
public enum AttentionStrategyName: String, CaseIterable, Sendable {
  case heads
  case keyGroup = "kv-group"
  case moa

  /// The strategy of this name.
  public func make() -> any AttentionStrategy {
    switch self {
    case .heads: HeadsStrategy()
    case .keyGroup: KeyGroupStrategy()
    case .moa: MixtureOfHeadsStrategy()
    }
  }
}

/// What a user asks of attention.
public struct AttentionSettings: Equatable, Sendable {
  /// What becomes an expert.
  public var strategy: AttentionStrategyName
  /// Routed experts; `nil` takes what the strategy prefers, as for the others.
  public var experts: Int?
  /// Routed experts per token.
  public var topK: Int?
  /// Units that are always on.
  public var shared: Int?

  /// Settings from their parts.
  public init(
    strategy: AttentionStrategyName, experts: Int? = nil, topK: Int? = nil, shared: Int? = nil
  ) {
    self.strategy = strategy
    self.experts = experts
    self.topK = topK
    self.shared = shared
  }
}

/// How many units an attention layer is cut into.
public struct AttentionGeometry: Equatable, Sendable {
  /// Routed experts, one unit each.
  public var experts: Int
  /// Routed experts per token.
  public var topK: Int
  /// Units that are always on.
  public var shared: Int

  /// Units that are active for a token over all units.
  public var activeShare: Double { Double(topK + shared) / Double(experts + shared) }

  /// Sizes that were checked against each other.
  init(experts: Int, topK: Int, shared: Int) throws {
    guard experts > 0, (1...experts).contains(topK), shared >= 0 else {
      throw ConstructionError(
        .refused,
        "attention: top-\(topK) of \(experts) experts, \(shared) shared; use 1 to "
          + "\(max(1, experts)) for --attention-top-k")
    }
    self.experts = experts
    self.topK = topK
    self.shared = shared
  }
}

extension AttentionStrategy {
  /// Sizes of a strategy that allows one number of experts and no shared ones.
  func fixedGeometry(
    _ settings: AttentionSettings, experts: Int, topK: Int, _ attention: AttentionConfiguration
  ) throws -> AttentionGeometry {
    guard settings.experts ?? experts == experts, settings.shared ?? 0 == 0 else {
      throw ConstructionError(
        .refused,
        "--attention \(settings.strategy.rawValue) makes \(experts) experts of \(attention.heads) "
          + "query and \(attention.keyHeads) key heads, none shared; leave --attention-experts and "
          + "--attention-shared out")
    }
    return try AttentionGeometry(experts: experts, topK: settings.topK ?? topK, shared: 0)
  }
}
