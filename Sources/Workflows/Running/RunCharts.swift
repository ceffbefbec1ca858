import Formats
import Reports

/// Pictures of a run folder's log and analysis, for its own report and for others.
enum RunCharts {
  /// The step lines of a run log; none where there is no log.
  static func steps(of path: String) throws -> [ConfigurationFile] {
    guard Files.exists(path) else { return [] }
    return try Files.read(path, maximumBytes: 1 << 30).split(separator: UInt8(ascii: "\n"))
      .compactMap { line in
        guard let object = try? JSON.parse(Array(line)).object, object["event"]?.string == "step"
        else { return nil }
        return ConfigurationFile(path: path, object: object)
      }
  }

  /// How the last model routes, from the folder's `analysis.json`; nothing where there is none.
  static func routing(ofFolder folder: String) throws -> [ReportDocument.Block] {
    let path = "\(folder)/\(RunAnalysis.fileName)"
    guard Files.exists(path) else { return [] }
    let analysis = try ConfigurationFile(contentsOf: path)
    let layers = analysis["layers"]?.array ?? []
    let domains = (analysis["domains"]?.array ?? []).compactMap(\.string)
    var blocks: [ReportDocument.Block] = []
    if !layers.isEmpty {
      blocks += [.table(table(layers)), .chart(loads(layers, domains))]
      if domains.count > 1 { blocks.append(.chart(specialisation(layers, domains))) }
      if let pairs = coactivation(layers) { blocks.append(.chart(pairs)) }
    }
    if let importance = importance(analysis["importance"]?.array ?? []) {
      blocks.append(.chart(importance))
    }
    return blocks
  }

  private static func name(of layer: JSON) -> String {
    "\(layer["layer"]?.int ?? 0)" + (layer["part"]?.string == "attention" ? " attention" : "")
  }

  private static func numbers(_ value: JSON?) -> [Double] {
    (value?.array ?? []).map { $0.double ?? .nan }
  }

  private static func table(_ layers: [JSON]) -> ReportTable {
    var table = ReportTable(
      caption: "Routing per layer; entropies are over that of an even spread",
      header: [
        "layer", "load entropy", "largest share", "dead experts", "router entropy",
        "domain divergence",
      ])
    func fixed(_ value: JSON?) -> String {
      value?.double.map { Decimals.fixed($0, places: 3) } ?? ""
    }
    for layer in layers {
      table.add([
        name(of: layer), fixed(layer["normalized_entropy"]), fixed(layer["max_share"]),
        "\(layer["dead_experts"]?.int ?? 0)", fixed(layer["router_entropy"]),
        fixed(layer["domain_divergence"]),
      ])
    }
    return table
  }

  /// Load over that of an even split: a row for each layer and domain.
  private static func loads(_ layers: [JSON], _ domains: [String]) -> HeatMap {
    var rows: [String] = []
    var values: [[Double]] = []
    for layer in layers {
      for domain in domains {
        let shares = numbers(layer["load"]?[domain])
        rows.append("\(name(of: layer)) \(domain)")
        values.append(shares.map { $0 * Double(shares.count) })
      }
    }
    return HeatMap(
      title: "Load of each expert per layer and domain, 1 where even", rowLabel: "layer",
      columnLabel: "expert", rows: rows,
      columns: (0..<(values.map(\.count).max() ?? 0)).map { "\($0)" }, values: values)
  }

  /// How far each domain's load is from the mean of all: half the sum of absolute differences.
  private static func specialisation(_ layers: [JSON], _ domains: [String]) -> HeatMap {
    let values = layers.map { layer -> [Double] in
      let loads = domains.map { numbers(layer["load"]?[$0]) }
      let experts = loads.map(\.count).min() ?? 0
      let mean = (0..<experts).map { expert in
        loads.reduce(0) { $0 + $1[expert] } / Double(max(1, loads.count))
      }
      return loads.map { load in
        zip(load, mean).reduce(0) { $0 + ($1.0 - $1.1).magnitude } / 2
      }
    }
    return HeatMap(
      title: "Share of a domain's choices that differ from the mean of all domains",
      rowLabel: "layer", columnLabel: "domain", rows: layers.map(name), columns: domains,
      values: values)
  }

  /// Of the tokens of the row's expert, the part that chose the column's too: the layer where experts
  /// cling together most. `nil` where tokens choose one expert.
  private static func coactivation(_ layers: [JSON]) -> HeatMap? {
    func strength(_ layer: JSON) -> Double {
      let rows = (layer["coactivation"]?.array ?? []).map(numbers)
      var strongest = 0.0
      for (row, values) in rows.enumerated() {
        for (column, value) in values.enumerated() where row != column {
          strongest = max(strongest, value)
        }
      }
      return strongest
    }
    guard
      let layer = layers.filter({ ($0["top_k"]?.int ?? 1) > 1 }).max(by: {
        strength($0) < strength($1)
      })
    else { return nil }
    var values = (layer["coactivation"]?.array ?? []).map(numbers)
    for index in values.indices where index < values[index].count { values[index][index] = .nan }
    let names = values.indices.map { "\($0)" }
    return HeatMap(
      title: "Experts chosen together in layer \(name(of: layer)): part of a row's tokens",
      rowLabel: "expert", columnLabel: "expert", rows: names, columns: names, values: values)
  }

  /// The share of importance that the most important neurons hold, a curve per part of neurons.
  private static func importance(_ layers: [JSON]) -> LineChart? {
    guard let first = layers.first?.object else { return nil }
    let keys = first.keys.filter { $0.hasPrefix("top_") }
    guard layers.count > 1, !keys.isEmpty else { return nil }
    return LineChart(
      title: "Share of the importance held by the most important neurons", xLabel: "layer",
      yLabel: "share of importance",
      series: keys.map { key in
        LineChart.Series(
          "top \(key.dropFirst(4)) %",
          layers.map { (Double($0["layer"]?.int ?? 0), $0[key]?.double ?? .nan) })
      })
  }
}
