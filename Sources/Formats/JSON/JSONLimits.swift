/// Bounds on a JSON document, so that a hostile one costs little.
public struct JSONLimits: Sendable {
  /// The most bytes accepted.
  public var maximumBytes: Int
  /// The most levels of arrays and objects within each other.
  public var maximumDepth: Int
  /// The most values accepted, counting containers and all that is within.
  public var maximumValues: Int

  /// Bounds, each with a generous default.
  public init(
    maximumBytes: Int = 256 << 20, maximumDepth: Int = 128, maximumValues: Int = 16 << 20
  ) {
    self.maximumBytes = maximumBytes
    self.maximumDepth = maximumDepth
    self.maximumValues = maximumValues
  }

  /// 256 MiB, 128 levels, 16 Mi values: ample for the tokenizers and indices in circulation.
  public static let `default` = JSONLimits()
}
