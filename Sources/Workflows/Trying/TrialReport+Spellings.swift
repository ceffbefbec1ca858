import Reports

/// How tables spell what a record holds.
extension TrialReport {
  /// The loss, or why there is none.
  static func loss(_ cell: TrialCell, _ refusals: inout RefusalList) -> String {
    cell.measurement?.loss.map { Decimals.fixed($0, places: 3) } ?? outcome(cell, &refusals)
  }

  /// A share of 1 in percent.
  static func percent(_ share: Double) -> String {
    Decimals.trimmed(share * 100, places: 1) + " %"
  }

  /// The outcome in one word, with the letter of its reason.
  static func outcome(_ cell: TrialCell, _ refusals: inout RefusalList) -> String {
    switch cell.outcome {
    case .works: "works"
    case .refused(let reason): "refused \(refusals.letter(reason))"
    case .failed: "failed"
    }
  }
}

/// Lists of names in one cell or sentence.
enum TextList {
  /// Every text once, in order.
  static func distinct(_ texts: [String]) -> String {
    var seen: [String] = []
    for text in texts where !seen.contains(text) { seen.append(text) }
    return seen.joined(separator: ", ")
  }
}

extension TrialCell.Measurement {
  /// The units as `1 + 7 top-1`.
  var units: String {
    guard let experts, let topK else { return "dense" }
    let shared = shared ?? 0
    return (shared > 0 ? "\(shared) + " : "") + "\(experts) top-\(topK)"
  }
}

extension TrialRecord {
  /// The strategies tried, in order.
  var strategies: [String] {
    TrialSettings.strategyNames.filter { name in cells.contains { $0.strategy == name } }
  }

  /// The formats tried, in order.
  var formats: [String] {
    TrialSettings.formatNames.filter { name in cells.contains { $0.format == name } }
  }
}
