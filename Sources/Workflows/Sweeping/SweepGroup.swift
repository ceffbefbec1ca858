import Formats
import Reports

/// The finished cells that differ in their seed only, as one result.
struct SweepGroup {
  /// The cells' common name.
  let name: String
  /// The cells.
  let rows: [SweepRow]

  /// Figures of which mean and spread are taken.
  static let figures = [
    "training_free_loss", "loss", "kl_to_dense", "top1_agreement", "decode_tokens_per_second",
  ]

  /// The groups in order of first appearance.
  static func groups(of rows: [SweepRow]) -> [SweepGroup] {
    var order: [String] = []
    var members: [String: [SweepRow]] = [:]
    for row in rows where row.isFinished {
      if members[row.group] == nil { order.append(row.group) }
      members[row.group, default: []].append(row)
    }
    return order.map { SweepGroup(name: $0, rows: members[$0] ?? []) }
  }

  var isPruned: Bool { rows.first?.isPruned ?? false }

  /// The figure of each seed.
  func values(_ key: String) -> [Double] { rows.compactMap { $0.number(key) } }

  /// The mean over seeds.
  func mean(_ key: String) -> Double? {
    let values = values(key)
    return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
  }

  /// From the smallest to the largest value; `nil` for fewer than two seeds.
  func spread(_ key: String) -> ClosedRange<Double>? {
    let values = values(key)
    guard values.count > 1, let low = values.min(), let high = values.max() else { return nil }
    return low...high
  }

  /// Short words for charts, such as `4+28 top-4, refit`.
  var label: String { ([granularity] + (rows.first?.variations ?? [])).joined(separator: ", ") }

  /// What an MLP is cut into, such as `4+28 top-4`.
  var granularity: String {
    guard let row = rows.first else { return name }
    if isPruned { return "pruned" }
    if row.text("strategy") == "none" { return row.text("attention") }
    func count(_ key: String) -> Int { row.json[key]?.int ?? 0 }
    let shared = row.shared.map { "\($0)+" } ?? ""
    return "\(shared)\(count("experts")) top-\(count("top_k"))"
  }

  /// What all but the geometry has in common, for colours.
  var series: String {
    guard let row = rows.first else { return name }
    if isPruned { return "static pruning" }
    var words = [row.text("strategy")]
    if row.text("attention") != "none" { words.append(row.text("attention")) }
    if row.shared != nil { words.append("shared units") }
    words += row.variations
    if !row.text("losses").isEmpty { words.append(row.text("losses")) }
    return words.joined(separator: ", ")
  }

  var json: JSONObject {
    var object: JSONObject = ["group": JSON(name), "seeds": JSON(rows.count)]
    for key in [
      "strategy", "router", "experts", "top_k", "mean_top_k", "shared", "recovery", "attention",
      "losses", "active_share", "bytes_per_token", "active_parameters",
    ] {
      object[key] = rows.first?.json[key]
    }
    for key in Self.figures {
      guard let mean = mean(key) else { continue }
      object[key] = JSON(mean)
      if let spread = spread(key) {
        object["\(key)_min"] = JSON(spread.lowerBound)
        object["\(key)_max"] = JSON(spread.upperBound)
      }
    }
    object["dead_experts"] = values("dead_experts").max().map { JSON(Int($0)) }
    object["min_load_entropy"] = values("min_load_entropy").min().map { JSON($0) }
    return object
  }

  /// The names of the groups on the Pareto front of loss against another figure.
  static func front(
    _ groups: [SweepGroup], _ key: String, _ direction: ParetoFront.Direction
  ) -> JSON {
    let points = groups.map { (x: $0.mean(key) ?? .nan, y: $0.mean("loss") ?? .nan) }
    return .array(
      ParetoFront.indices(of: points, x: direction).map { JSON(groups[$0].name) })
  }
}
