import Formats

/// What came of one strategy with one router in one format.
public struct TrialCell: Sendable, Equatable {
  /// What the outcome was.
  public enum Outcome: Sendable, Equatable {
    /// It works from end to end.
    case works(Measurement)
    /// It cannot be, for this reason, in one line.
    case refused(String)
    /// It should work or be refused and does neither.
    case failed(String)
  }

  /// What was measured where it works.
  public struct Measurement: Sendable, Equatable {
    /// Routed experts of a layer, of its MLP or its attention; `nil` for a dense MLP.
    public var experts: Int?
    /// Routed experts a token uses.
    public var topK: Int?
    /// Units that every token uses.
    public var shared: Int?
    /// The share of the MLP, or of the attention's heads, that a token uses.
    public var activeShare: Double
    /// Mean loss before any training; `nil` where herd does not read the format.
    public var loss: Double?
    /// How far that is from the loss of the herd folder it was made from.
    public var difference: Double?
    /// Whether a folded scale rounded weights.
    public var isRounded = false
    /// Bytes of the weights, or of the whole file.
    public var bytes: Int
    /// Seconds the conversion took, its proof included; `nil` for exports.
    public var seconds: Double?
    /// The format it was exported from.
    public var source: String?
  }

  /// `mlp` or `attention`.
  public let part: String
  /// The strategy's name.
  public let strategy: String
  /// The router's name; `nil` where there is none.
  public let router: String?
  /// The format's name.
  public let format: String
  /// What came of it.
  public let outcome: Outcome

  /// What was measured, if it works.
  public var measurement: Measurement? {
    if case .works(let measurement) = outcome { measurement } else { nil }
  }

  /// Why it cannot be, if it is refused.
  var refusal: String? {
    if case .refused(let reason) = outcome { reason } else { nil }
  }

  /// What went wrong, if it failed.
  public var failure: String? {
    if case .failed(let error) = outcome { error } else { nil }
  }
}

extension TrialCell {
  /// The cell for machines.
  var json: JSON {
    var object: JSONObject = [
      "part": JSON(part), "strategy": JSON(strategy), "router": router.map { JSON($0) } ?? .null,
      "format": JSON(format),
    ]
    switch outcome {
    case .works(let measurement):
      object["outcome"] = "works"
      for (key, value) in measurement.json { object[key] = value }
    case .refused(let reason):
      object["outcome"] = "refused"
      object["reason"] = JSON(reason)
    case .failed(let error):
      object["outcome"] = "failed"
      object["reason"] = JSON(error)
    }
    return .object(object)
  }

  init(_ section: ConfigurationFile) throws {
    part = try section.string("part")
    strategy = try section.string("strategy")
    router = try section.optionalString("router")
    format = try section.string("format")
    switch try section.string("outcome") {
    case "works": outcome = .works(try Measurement(section))
    case "refused": outcome = .refused(try section.string("reason"))
    default: outcome = .failed(try section.string("reason"))
    }
  }
}

extension TrialCell.Measurement {
  fileprivate var json: JSONObject {
    var object = JSONObject()
    object["experts"] = experts.map { JSON($0) }
    object["top_k"] = topK.map { JSON($0) }
    object["shared"] = shared.map { JSON($0) }
    object["active_share"] = JSON(activeShare)
    object["loss"] = loss.map { JSON($0) }
    object["difference"] = difference.map { JSON($0) }
    object["rounded"] = JSON(isRounded)
    object["bytes"] = JSON(bytes)
    object["seconds"] = seconds.map { JSON($0) }
    object["source"] = source.map { JSON($0) }
    return object
  }

  fileprivate init(_ section: ConfigurationFile) throws {
    experts = try section.optionalInteger("experts")
    topK = try section.optionalInteger("top_k")
    shared = try section.optionalInteger("shared")
    activeShare = try section.double("active_share")
    loss = try section.optionalDouble("loss")
    difference = try section.optionalDouble("difference")
    isRounded = try section.bool("rounded", default: false)
    bytes = try section.integer("bytes")
    seconds = try section.optionalDouble("seconds")
    source = try section.optionalString("source")
  }
}
