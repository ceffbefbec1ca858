import ExpertConstruction
import Formats
import Numerics

/// How softmax attention becomes linear; `herd linearize`'s options and a pipeline's `linearize` section.
public struct LinearizeSettings: Sendable, Equatable {
  /// What layers become.
  public var mixer = LinearizedMixer.lightning.rawValue
  /// The layers that stay softmax: a share such as `25%`, a list such as `0,7,15`, `auto` or `none`.
  public var keepSoftmax = "25%"
  /// How fast heads forget; `nil` for what the mixer has.
  public var slopes: String?
  /// Whether key and value heads stay shared.
  public var sharesKeys = false
  /// Tokens that each token of a linear layer also attends to by softmax; `nil` for none.
  public var window: Int?
  /// `rope` or `none`: the positions of the softmax layers that stay.
  public var softmaxPositions = "rope"
  /// Whether these get an output gate.
  public var softmaxGate = false
  /// `a` of the growth of their scores with the length; `nil` for none.
  public var softmaxLogScale: Double?
  /// Factor of normalised rows in the residual connections of `minimax`; `nil` for MiniMax-01's.
  public var residualAlpha: Double?
  /// Text on which `auto` measures layers.
  public var data: [String] = []
  /// How many layers `auto` keeps, as a share.
  public var autoShare = 0.25
  /// Tokens of text on which `auto` first aligns every linear layer with the softmax one.
  public var alignmentTokens = 32768

  /// In a pipeline, whether the model is converted first.
  public var followsConversion = false

  /// The names of all mixers.
  public static let mixers = LinearizedMixer.allCases.map(\.rawValue).joined(separator: ", ")
  /// The names of all slopes.
  public static let slopeNames = DecaySlopes.allCases.map(\.rawValue).joined(separator: ", ")

  /// HALO's layer in three of four layers.
  public init() {}

  init(_ section: ConfigurationFile) throws {
    try section.refuseUnknownKeys(known: [
      "mixer", "keep_softmax", "slopes", "share_keys", "window", "softmax_positions",
      "softmax_gate", "softmax_log_scale", "data", "auto_share", "alignment_tokens",
      "residual_alpha",
      "after_convert",
    ])
    mixer = try section.string("mixer", default: mixer)
    // Lists and numbers are what YAML makes of `[0, 7]` and of `7`.
    if let list = section.object["keep_softmax"]?.array {
      keepSoftmax = list.map { $0.int.map(String.init) ?? $0.string ?? "?" }
        .joined(separator: ",")
    } else if let one = section.object["keep_softmax"]?.int {
      keepSoftmax = "\(one)"
    } else {
      keepSoftmax = try section.string("keep_softmax", default: keepSoftmax)
    }
    slopes = try section.optionalString("slopes")
    residualAlpha = try section.optionalDouble("residual_alpha")
    sharesKeys = try section.bool("share_keys", default: false)
    window = try section.optionalInteger("window")
    softmaxPositions = try section.string("softmax_positions", default: softmaxPositions)
    softmaxGate = try section.bool("softmax_gate", default: false)
    softmaxLogScale = try section.optionalDouble("softmax_log_scale")
    data = try section.strings("data", default: [])
    followsConversion = try section.bool("after_convert", default: false)
    autoShare = try section.double("auto_share", default: autoShare)
    alignmentTokens = try section.integer("alignment_tokens", default: alignmentTokens)
  }

  /// Whether the layers that stay are found by measuring.
  public var isMeasured: Bool { keepSoftmax == "auto" }

  /// Refuses names that do not exist and numbers that say nothing.
  public func check() throws { _ = try resolved(seed: 0) }

  /// The settings in the construction room's terms. Where layers are measured, those that stay are
  /// still ``autoShare`` of them, evenly spread.
  func resolved(seed: UInt64) throws(WorkflowError) -> LinearizationSettings {
    var resolved = LinearizationSettings()
    resolved.mixer = try ConvertSettings.choice(LinearizedMixer.self, mixer, "mixer")
    resolved.kept = try kept()
    resolved.slopes =
      try slopes.map { name throws(WorkflowError) in
        try ConvertSettings.choice(DecaySlopes.self, name, "slopes")
      } ?? resolved.mixer.slopes
    resolved.sharesKeys = sharesKeys
    if let window, !(1...1 << 30).contains(window) {
      throw WorkflowError(
        "a window of \(window) tokens; give at least 1 and at most \(1 << 30), such as 64")
    }
    resolved.window = window
    guard ["rope", "none"].contains(softmaxPositions) else {
      throw WorkflowError(
        "softmax positions \"\(softmaxPositions)\" are not known; choose rope or none")
    }
    resolved.softmaxPositions = softmaxPositions == "rope"
    resolved.softmaxGate = softmaxGate
    if let scale = softmaxLogScale, !(scale > 1 && scale.isFinite) {
      throw WorkflowError("a softmax log scale of \(scale); give a number above 1, such as 500")
    }
    resolved.softmaxLogScale = softmaxLogScale
    resolved.residualAlpha = residualAlpha
    if let refusal = resolved.mixerRefusal { throw WorkflowError(refusal) }
    resolved.seed = seed
    guard (0...CalibrationText.mostTokens).contains(alignmentTokens), autoShare > 0, autoShare < 1
    else {
      throw WorkflowError(
        "alignment tokens must be from 0 to \(CalibrationText.mostTokens) and the automatic share between 0 and 1"
      )
    }
    return resolved
  }

  private func kept() throws(WorkflowError) -> KeptSoftmax {
    switch keepSoftmax {
    case "none": return .none
    case "auto": return .share(autoShare)
    default: break
    }
    if keepSoftmax.hasSuffix("%") {
      guard let percent = Double(keepSoftmax.dropLast()), percent > 0, percent < 100 else {
        throw WorkflowError(
          "\"\(keepSoftmax)\" of the layers cannot stay softmax; write a share such as 25%, or none"
        )
      }
      return .share(percent / 100)
    }
    var layers: [Int] = []
    for part in keepSoftmax.split(separator: ",", omittingEmptySubsequences: false) {
      guard let layer = Int(part), layer >= 0 else {
        throw WorkflowError(
          "\"\(keepSoftmax)\" names no layers that stay softmax; write 25%, 0,7,15, auto or none")
      }
      layers.append(layer)
    }
    return .layers(layers)
  }
}
