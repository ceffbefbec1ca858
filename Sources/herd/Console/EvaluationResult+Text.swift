import Reports
import Workflows

extension CheckpointEvaluation.Result {
  /// The result for people: a table of domains, then what else was asked for.
  var text: String {
    var parts: [String] = []
    if !scores.domains.isEmpty { parts.append(domainTable) }
    let load = loadTable
    if !load.isEmpty { parts.append(load) }
    if let wikiText {
      parts.append(
        """
        WikiText token perplexity \(Decimals.fixed(wikiText.tokenPerplexity, places: 3))
          (\(wikiText.tokenDefinition))
        WikiText word perplexity \(Decimals.fixed(wikiText.wordPerplexity, places: 3)), \
        \(Decimals.fixed(wikiText.bitsPerByte, places: 4)) bits per byte
          (\(wikiText.wordDefinition))

        """)
    }
    if !tasks.isEmpty { parts.append(taskTable) }
    if !exactMatch.isEmpty {
      var table = TextTable(header: ["exact match", "rate", "of"])
      for (domain, result) in exactMatch {
        table.add([domain, Quantity.percent(result.rate), "\(result.answers.count)"])
      }
      parts.append(table.text())
    }
    return parts.joined(separator: "\n")
  }

  private var domainTable: String {
    let isCompared = scores.meanDivergence != nil
    var table = TextTable(
      header: ["domain", "loss", "perplexity", "top-1", "tokens"]
        + (isCompared ? ["KL", "agreement"] : []))
    for score in scores.domains {
      table.add(
        [
          score.domain, Decimals.fixed(score.loss, places: 4),
          Decimals.fixed(score.perplexity, places: 3),
          Quantity.percent(score.accuracy), "\(score.tokens)",
        ] + comparison(score.divergence, score.agreement))
    }
    table.add(
      ["mean", Decimals.fixed(scores.mean, places: 4), "", "", ""]
        + comparison(scores.meanDivergence, scores.meanAgreement))
    return table.text()
  }

  private var taskTable: String {
    var table = TextTable(header: ["task", "samples", "metric", "value", "stderr"])
    for task in tasks {
      for metric in task.metrics {
        table.add([
          task.task, "\(task.samples)", metric.name, Decimals.fixed(metric.value, places: 4),
          metric.standardError.map { Decimals.fixed($0, places: 4) } ?? "",
        ])
      }
    }
    return table.text()
  }

  private func comparison(_ divergence: Double?, _ agreement: Double?) -> [String] {
    guard let divergence, let agreement else { return [] }
    return [Decimals.fixed(divergence, places: 4), Quantity.percent(agreement)]
  }

  private var loadTable: String {
    var table = TextTable(
      header: ["expert load", "layer", "part", "entropy", "largest", "dead", "shares"])
    var isEmpty = true
    for score in scores.domains {
      for load in score.load {
        isEmpty = false
        table.add([
          score.domain, "\(load.layer)", load.part.rawValue,
          Decimals.fixed(load.normalizedEntropy, places: 3),
          Quantity.percent(load.maximumShare), "\(load.deadExperts)",
          load.shares.map { Decimals.fixed($0 * 100, places: 0) }.joined(separator: " "),
        ])
      }
    }
    return isEmpty ? "" : table.text()
  }
}
