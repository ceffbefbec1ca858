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
        WikiText token perplexity \(Quantity.fixed(wikiText.tokenPerplexity, 3))
          (\(wikiText.tokenDefinition))
        WikiText word perplexity \(Quantity.fixed(wikiText.wordPerplexity, 3)), \
        \(Quantity.fixed(wikiText.bitsPerByte, 4)) bits per byte
          (\(wikiText.wordDefinition))

        """)
    }
    if !exactMatch.isEmpty {
      var table = TextTable(["exact match", "rate", "of"], alignsRight: true)
      for (domain, result) in exactMatch {
        table.append(domain, Quantity.percent(result.rate), "\(result.answers.count)")
      }
      parts.append(table.text)
    }
    return parts.joined(separator: "\n")
  }

  private var domainTable: String {
    let isCompared = scores.meanDivergence != nil
    var table = TextTable(
      ["domain", "loss", "perplexity", "top-1", "tokens"]
        + (isCompared ? ["KL", "agreement"] : []), alignsRight: true)
    for score in scores.domains {
      table.append(
        [
          score.domain, Quantity.fixed(score.loss, 4), Quantity.fixed(score.perplexity, 3),
          Quantity.percent(score.accuracy), "\(score.tokens)",
        ] + comparison(score.divergence, score.agreement))
    }
    table.append(
      ["mean", Quantity.fixed(scores.mean, 4), "", "", ""]
        + comparison(scores.meanDivergence, scores.meanAgreement))
    return table.text
  }

  private func comparison(_ divergence: Double?, _ agreement: Double?) -> [String] {
    guard let divergence, let agreement else { return [] }
    return [Quantity.fixed(divergence, 4), Quantity.percent(agreement)]
  }

  private var loadTable: String {
    var table = TextTable(
      ["expert load", "layer", "entropy", "largest", "dead", "shares"], alignsRight: true)
    var isEmpty = true
    for score in scores.domains {
      for load in score.load {
        isEmpty = false
        table.append(
          score.domain, "\(load.layer)", Quantity.fixed(load.normalizedEntropy, 3),
          Quantity.percent(load.maximumShare), "\(load.deadExperts)",
          load.shares.map { Quantity.fixed($0 * 100, 0) }.joined(separator: " "))
      }
    }
    return isEmpty ? "" : table.text
  }
}
