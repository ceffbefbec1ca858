import Evaluation
import Formats
import Reports

/// The story of a run in numbers: dense, converted, after each stage, per domain.
struct RunTables {
  /// A model of the run with its evaluation.
  struct Row {
    let model: String
    let scores: ConfigurationFile
  }

  /// The models that were evaluated, in order.
  let rows: [Row]
  /// All domains, in order of first appearance.
  let domains: [String]

  init(_ state: RunState, _ pipeline: Pipeline) {
    var rows: [Row] = []
    let follows = pipeline.linearize?.followsConversion == true
    let made = follows ? ["converted", "linearized"] : ["linearized", "converted"]
    for name in ["dense"] + made + pipeline.stages.map(\.name) {
      if let object = state.result(of: "evaluate:\(name)")?.object {
        rows.append(Row(model: name, scores: ConfigurationFile(path: name, object: object)))
      }
    }
    self.rows = rows
    domains = rows.first?.scores["domains"]?.object?.keys ?? []
  }

  /// The loss of a model on a domain, in nats.
  func loss(_ row: Row, _ domain: String) -> Double? {
    row.scores["domains"]?[domain]?["loss"]?.double
  }

  /// The share of held-out prompts a model answers exactly.
  func exactMatch(_ row: Row, _ domain: String) -> Double? {
    row.scores["exact_match"]?[domain]?["rate"]?.double
  }

  /// Validation loss per model and domain, with the distance to the dense model.
  var losses: ReportTable {
    var header = ["model"] + domains + ["mean"]
    let compares = rows.contains { $0.scores["mean_kl"] != nil }
    if compares { header += ["KL to dense", "same top token"] }
    var table = ReportTable(caption: "Validation loss, nats per token", header: header)
    for row in rows {
      var cells = [row.model] + domains.map { number(loss(row, $0)) }
      cells.append(number(row.scores["mean"]?.double))
      if compares {
        cells.append(number(row.scores["mean_kl"]?.double))
        cells.append(percent(row.scores["mean_agreement"]?.double))
      }
      table.add(cells)
    }
    return table
  }

  /// Exact match per model and domain; `nil` when none was asked for.
  var exactMatches: ReportTable? {
    guard rows.contains(where: { $0.scores["exact_match"] != nil }) else { return nil }
    var table = ReportTable(
      caption: "Held-out prompts answered exactly (greedy)", header: ["model"] + domains + ["mean"])
    for row in rows {
      let rates = domains.map { exactMatch(row, $0) }
      let known = rates.compactMap { $0 }
      let mean = known.isEmpty ? nil : known.reduce(0, +) / Double(known.count)
      table.add([row.model] + rates.map(percent) + [percent(mean)])
    }
    return table
  }

  /// Every figure of every task per model; `nil` when there are no tasks.
  var tasks: ReportTable? {
    let models = rows.compactMap { row in
      row.scores["tasks"]?.object.map { (name: row.model, tasks: $0) }
    }
    guard let first = models.first else { return nil }
    var table = ReportTable(
      caption: "Evaluation tasks",
      header: ["task", "metric"] + models.map(\.name))
    for task in first.tasks.keys {
      let metrics = (first.tasks[task]?.object?.keys ?? []).filter {
        !["form", "samples"].contains($0) && !$0.contains("_stderr")
      }
      for metric in metrics {
        let cells = models.map { model in
          let result = model.tasks[task]
          return number(result?[metric]?.double) + error(result, metric)
        }
        table.add([task, metric] + cells)
      }
    }
    return table
  }

  private func error(_ result: JSON?, _ metric: String) -> String {
    let name = TaskResult.standardErrorName(of: metric)
    return (result?[name]?.double).map { " ± " + number($0) } ?? ""
  }

  /// Every table, for a terminal.
  var text: String {
    [rows.isEmpty ? nil : losses, exactMatches, tasks].compactMap { $0 }
      .map { "\($0.caption)\n\($0.text.text())" }.joined(separator: "\n")
  }

  private func number(_ value: Double?) -> String {
    value.map { Decimals.fixed($0, places: 4) } ?? ""
  }

  private func percent(_ value: Double?) -> String {
    value.map { Decimals.fixed($0 * 100, places: 1) + " %" } ?? ""
  }
}
