import Data
import Formats
import Reports

/// What keeps the laws of a ladder from being compared with the published ones.
struct ScalingComparison {
  private let record: ScalingRecord
  private let rows: [ScalingRow]

  init(_ record: ScalingRecord, _ rows: [ScalingRow]) {
    self.record = record
    self.rows = rows
  }

  /// One statement a line, with the ladder's own numbers.
  var statements: [String] {
    let settings = record.settings
    let stage = settings["stages"]?.array?.first
    var statements: [String] = []
    let domains = (settings["evaluate"]?["data"]?.array ?? []).compactMap(\.string)
      .map(TokenStream.domain)
    statements.append(
      "data: \(domains.joined(separator: ", ")), in conversations only what the assistant says; the paper's is its own English and Chinese corpus. Coefficients of L measure the text as much as the model"
    )
    if let text = record.measured {
      statements.append(
        "vocabulary: \(text.vocabulary) tokens, the paper's 100280; a nat per token is another quantity, and D counts longer or shorter pieces of text"
      )
      if let most = text.sources.map(\.epochs).max(), most > 0 {
        statements.append(
          "epochs: the largest budget sees its data up to \(Decimals.fixed(most, places: 2)) times; the paper's 300 G tokens are seen once"
        )
      }
    }
    let compute = rows.compactMap { $0.number("compute") }
    if let low = compute.min(), let high = compute.max() {
      statements.append(
        "compute: \(Decimals.scientific(low)) to \(Decimals.scientific(high)) PFLOP/s-days; the paper's models end at 0.4 to 180. Coefficients are at C = 1\(high < 0.1 ? ", far beyond these cells" : "")"
      )
    }
    let length = stage?["sequence_length"]?.int ?? 1024
    statements.append(
      "context: \(length) tokens, the paper's 8192, which enters the cost of softmax attention")
    if (stage?["sampling"]?.string ?? "documents") == "documents" {
      statements.append(
        "padding: sequences are packed with whole documents, and D and C count what is left empty at their ends"
      )
    }
    let schedule = (stage?["schedule"]?["kind"]?.string).map { "a \($0) schedule" } ?? "a schedule"
    let rates = rows.compactMap { $0.number("learning_rate") }
    if let low = rates.min(), let high = rates.max() {
      let words =
        low == high
        ? Decimals.scientific(low) : "\(Decimals.scientific(low)) to \(Decimals.scientific(high))"
      statements.append(
        "learning rate: \(words), \(schedule) in each cell; the paper has 3e-4 for every size and one run of 300 G tokens each"
      )
    }
    statements.append(
      "counts: N and C by the paper's formulas, whose C takes MLPs to be 8/3 as wide as the model; embeddings are tied as in the paper and counted in neither"
    )
    statements.append(
      "method: N_opt and D_opt follow from one surface L(N, D); the paper fits each on its own")
    return statements
  }
}
