import Models
import Numerics

extension LinearMixerConfiguration {
  /// The first setting in which this mixer differs from `format`, the one that a format has in its place,
  /// in words; `nil` for none. Slopes are compared as numbers, whatever their family is called.
  func difference(from format: LinearMixerConfiguration) -> String? {
    let settings: [(name: String, own: String, format: String)] = [
      ("key heads are", "\(keyHeads)", "\(format.keyHeads)"), ("heads are", sizes, format.sizes),
      ("expand state is", expand.rawValue, format.expand.rawValue),
      ("shrink state is", shrink.rawValue, format.shrink.rawValue),
      ("query map is", queryMap.name, format.queryMap.name),
      ("key map is", keyMap.name, format.keyMap.name),
      ("value map is", valueMap.name, format.valueMap.name),
      ("positions are", positions.words, format.positions.words),
      ("QK norm is", queryKeyNorm.words, format.queryKeyNorm.words),
      ("QK L2 norm is", queryKeyL2Norm.words, format.queryKeyL2Norm.words),
      ("update is", update.rawValue, format.update.rawValue),
      ("output norm is", outputNorm.rawValue, format.outputNorm.rawValue),
      ("output gate is", gateWords, format.gateWords), ("scale is", "\(scale)", "\(format.scale)"),
      ("norms' ε is", normEpsilonWords, format.normEpsilonWords),
      ("window is", windowWords, format.windowWords),
    ]
    if let other = settings.first(where: { $0.own != $0.format }) {
      return "its \(other.name) \(other.own), where the format has \(other.format)"
    }
    return decayDifference(from: format)
  }

  private var sizes: String { "\(heads) of \(keyDimension) by \(valueDimension)" }

  private var normEpsilonWords: String { normEpsilon.map { "\($0)" } ?? "the model's" }

  private var windowWords: String { window.map { "of \($0) tokens" } ?? "none" }

  private var gateWords: String {
    guard let gate else { return "none" }
    let rank = gate.rank.map { " of rank \($0)" } ?? ""
    return "\(gate.activation.rawValue)\(rank) \(gate.beforeNorm ? "before" : "after") the norm"
  }

  private func decayDifference(from format: LinearMixerConfiguration) -> String? {
    if case .fixed(let family, let own) = decay,
      case .fixed(let expected, let slopes) = format.decay
    {
      let wrong = zip(own, slopes).enumerated().first { _, pair in
        !(abs(pair.0 - pair.1) <= 1e-6 * pair.1)
      }
      guard let wrong else { return nil }
      return
        "its slopes are \(family)'s, \(wrong.element.0) in head \(wrong.offset), where the format "
        + "computes \(expected)'s, \(wrong.element.1)"
    }
    guard decay != format.decay else { return nil }
    return "its decay is \(decay.words), where the format has \(format.decay.words)"
  }
}

extension Bool {
  fileprivate var words: String { self ? "there" : "none" }
}

extension LinearMixerConfiguration.Positions {
  fileprivate var words: String {
    switch self {
    case .none: "none"
    case .rope: "rope"
    case .lrpe: "lrpe"
    case .lrpeCosine: "lrpe_cosine"
    }
  }
}

extension LinearMixerConfiguration.Decay {
  fileprivate var words: String {
    switch self {
    case .none: "none"
    case .fixed(let family, _): "fixed by \(family) slopes"
    case .learned(let perChannel, _): "learned per \(perChannel ? "channel" : "head")"
    case .headGate: "a gate per head"
    case .outer: "gates per key and value channel"
    case .elementwise: "learned per key and value channel"
    case .selective: "selective"
    case .channelGate(let bound, let temperature):
      "a gate per channel "
        + (bound.map { "with row \($0.row) of \($0.rows) lower bounds" } ?? "without lower bounds")
        + (temperature == 1 ? "" : " at temperature \(temperature)")
    }
  }
}
