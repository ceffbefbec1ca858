import ExpertConstruction
import Formats
import Models
import Reports

/// What is known of one cell, read from its run folder.
struct SweepRow: GridRow {
  let json: JSONObject

  var group: String { text("group") }
  var isPruned: Bool { json["strategy"]?.string == SweepCell.pruning }

  /// Its shared units as a word, such as `4` or `auto`; `nil` where it has none.
  var shared: String? {
    if let word = json["shared"]?.string { return word }
    return json["shared"]?.int.flatMap { $0 > 0 ? "\($0)" : nil }
  }

  /// What else than geometry, strategy and losses sets its experts apart, in words.
  var variations: [String] {
    var words: [String] = []
    if let mean = number("mean_top_k") { words.append("mean \(Decimals.trimmed(mean, places: 3))") }
    let recovery = text("recovery")
    if !recovery.isEmpty, recovery != RecoveryName.none.rawValue { words.append(recovery) }
    return words
  }

  /// A row of `sweep.json`.
  init(json: JSONObject) { self.json = json }

  /// The row of a cell.
  /// - Parameters:
  ///   - folder: The sweep folder.
  ///   - owner: The cell that made the conversion.
  ///   - failure: Why it failed in this call, if it did.
  init(_ cell: SweepCell, folder: String, owner: String, failure: String?) {
    let steps = RunState.steps(of: "\(folder)/\(RunGrid.cells)/\(cell.name)")
    let conversion =
      owner == cell.name ? steps : RunState.steps(of: "\(folder)/\(RunGrid.cells)/\(owner)")
    let last = cell.pipeline.stages.last?.name ?? "converted"
    var row = Self.head(of: cell.name, steps: steps, failure: failure)
    row["group"] = JSON(cell.group)
    row["conversion"] = JSON("\(RunGrid.cells)/\(owner)/converted")
    for (key, value) in Self.settings(cell) { row[key] = value }
    for (key, value) in Self.results(steps, conversion, model: last) { row[key] = value }
    json = row
  }

  /// The row of a cell that cannot be made.
  init(_ refused: RefusedCell) {
    json = [
      "name": JSON(refused.name), "group": JSON(refused.name),
      "status": JSON(CellStatus.refused.rawValue), "reason": JSON(refused.reason),
    ]
  }

  private static func settings(_ cell: SweepCell) -> JSONObject {
    let convert = cell.convert
    return [
      "strategy": JSON(convert.strategy), "router": JSON(convert.routerName),
      "experts": JSON(convert.experts), "top_k": JSON(convert.topK),
      "shared": convert.searchesShared ? JSON(convert.sharedText) : JSON(convert.sharedUnits),
      "mean_top_k": convert.meanTopK.map { JSON($0) } ?? .null,
      "recovery": JSON(convert.recovery),
      "attention": JSON(convert.attention), "losses": JSON(cell.losses),
      "seed": JSON(Int(clamping: cell.seed)),
    ]
  }

  private static func results(
    _ steps: JSONObject, _ conversion: JSONObject, model: String
  ) -> JSONObject {
    var row = JSONObject()
    let before = conversion["evaluate:converted"]
    let after = steps["evaluate:\(model)"] ?? (model == "converted" ? before : nil)
    row["training_free_loss"] = before?["mean"]
    row["training_free_kl"] = before?["mean_kl"]
    row["loss"] = after?["mean"]
    row["kl_to_dense"] = after?["mean_kl"]
    row["top1_agreement"] = after?["mean_agreement"]
    row["loss_by_domain"] = lossesByDomain(after)
    if let domains = after?["domains"]?.object {
      let health = RouterHealth(domains)
      row["dead_experts"] = health.deadExperts.map { JSON($0) }
      row["min_load_entropy"] = health.smallestEntropy.map { JSON($0) }
      row["max_load_share"] = health.largestShare.map { JSON($0) }
    }
    if let measured = steps["measure:\(model)"] {
      for key in [
        "decode_tokens_per_second", "bytes_per_token", "parameters", "active_parameters",
        "active_share", "active_attention_share",
      ] {
        row[key] = measured[key]
      }
    }
    if let analysis = steps["analyze:\(model)"]?.object {
      for (key, value) in analysis where key != "seconds" { row[key] = value }
    }
    row["seconds"] = seconds(steps)
    return row
  }
}

/// How evenly the routers of an evaluated model work, over all domains together.
struct RouterHealth {
  /// Experts that no token of any domain chose; `nil` without routers, as are the others.
  private(set) var deadExperts: Int?
  /// The smallest normalised entropy of a layer's load.
  private(set) var smallestEntropy: Double?
  /// The largest share of a layer's load that one expert takes.
  private(set) var largestShare: Double?

  /// - Parameter domains: The scores per domain of an evaluation's result.
  init(_ domains: JSONObject) {
    for load in Self.loads(domains) {
      deadExperts = (deadExperts ?? 0) + load.deadExperts
      smallestEntropy = min(smallestEntropy ?? 1, load.normalizedEntropy)
      largestShare = max(largestShare ?? 0, load.maximumShare)
    }
  }

  /// The load of each router, summed over domains.
  static func loads(_ domains: JSONObject) -> [ExpertLoad] {
    var loads: [ExpertLoad] = []
    for (_, score) in domains {
      for (index, layer) in (score["load"]?.array ?? []).enumerated() {
        let choices = layer["choices"]?.double ?? 1e9
        let counts = (layer["shares"]?.array ?? []).map {
          Int((($0.double ?? 0) * choices).rounded())
        }
        let (number, part) = (
          layer["layer"]?.int ?? 0, BlockPart(rawValue: layer["part"]?.string ?? "") ?? .mlp
        )
        if index == loads.count {
          loads.append(ExpertLoad(layer: number, part: part, counts: counts))
        } else {
          loads[index] = ExpertLoad(
            layer: number, part: part, counts: zip(loads[index].counts, counts).map { $0 + $1 })
        }
      }
    }
    return loads
  }
}
