import Formats
import Reports

/// The numbers of a sweep as tables.
struct SweepTables {
  private let rows: [SweepRow]
  private let dense: JSONObject
  let groups: [SweepGroup]
  /// All domains, in the order of the data.
  let domains: [String]

  init(_ record: SweepRecord) {
    rows = record.rows
    dense = record.dense
    groups = SweepGroup.groups(of: rows)
    domains = dense["loss_by_domain"]?.object?.keys ?? []
  }

  /// Dense, the pruning baseline, then every group, means over seeds.
  var results: ReportTable {
    let seeds = groups.map(\.rows.count).max() ?? 1
    var table = ReportTable(
      caption: seeds > 1
        ? "Means over \(seeds) seeds; ± half the distance between the smallest and the largest"
        : "Every conversion before and after training",
      header: [
        "model", "active", "loss before", "loss after", "KL to dense", "same top token",
        "tokens/s", "MB/token", "dead", "entropy",
      ])
    table.add([
      "dense", "100 %", "", Self.number(dense["loss"]?.double), "", "",
      Self.whole(dense["decode_tokens_per_second"]?.double),
      Self.megabytes(dense["bytes_per_token"]?.double), "", "",
    ])
    for group in groups.filter(\.isPruned) + groups.filter({ !$0.isPruned }) {
      table.add([
        group.name, Self.percent(group.mean("active_share")),
        Self.number(group, "training_free_loss"), Self.number(group, "loss"),
        Self.number(group, "kl_to_dense"), Self.percent(group.mean("top1_agreement")),
        Self.whole(group.mean("decode_tokens_per_second")),
        Self.megabytes(group.mean("bytes_per_token")),
        group.values("dead_experts").max().map { "\(Int($0))" } ?? "",
        group.values("min_load_entropy").min().map { Decimals.fixed($0, places: 3) } ?? "",
      ])
    }
    return table
  }

  /// One table per granularity: every cell and domain.
  var granularities: [ReportTable] {
    var order: [String] = []
    var members: [String: [SweepRow]] = [:]
    for group in groups {
      if members[group.granularity] == nil { order.append(group.granularity) }
      members[group.granularity, default: []] += group.rows
    }
    return order.map { label in
      var table = ReportTable(
        caption: "\(label): loss after training",
        header: ["cell"] + domains + ["mean", "before", "KL to dense"])
      for row in members[label] ?? [] {
        let losses = row.json["loss_by_domain"]
        table.add(
          [row.name] + domains.map { Self.number(losses?[$0]?.double) } + [
            Self.number(row.number("loss")), Self.number(row.number("training_free_loss")),
            Self.number(row.number("kl_to_dense")),
          ])
      }
      return table
    }
  }

  /// Cells without a result and why; `nil` when there are none.
  var withoutResult: ReportTable? {
    let left = rows.filter { !$0.isFinished }
    guard !left.isEmpty else { return nil }
    var table = ReportTable(header: ["cell", "status", "reason"])
    for row in left { table.add([row.name, row.text("status"), row.text("reason")]) }
    return table
  }

  static func number(_ value: Double?) -> String {
    value.map { Decimals.fixed($0, places: 4) } ?? ""
  }

  private static func number(_ group: SweepGroup, _ key: String) -> String {
    guard let mean = group.mean(key) else { return "" }
    guard let spread = group.spread(key) else { return number(mean) }
    let half = (spread.upperBound - spread.lowerBound) / 2
    return "\(number(mean)) ± \(Decimals.fixed(half, places: 4))"
  }

  private static func whole(_ value: Double?) -> String {
    value.map { Decimals.fixed($0, places: 0) } ?? ""
  }

  private static func megabytes(_ value: Double?) -> String {
    value.map { Decimals.fixed($0 / 1e6, places: 2) } ?? ""
  }

  static func percent(_ value: Double?) -> String {
    value.map { Decimals.fixed($0 * 100, places: 1) + " %" } ?? ""
  }
}
