import Formats
import Glibc
import Reports

/// The numbers of a ladder as tables, and what to keep in mind with them.
struct ScalingTables {
  private let record: ScalingRecord
  private let rows: [ScalingRow]

  init(_ record: ScalingRecord) {
    self.record = record
    rows = record.rows
  }

  private var architectures: [ScalingLaws] { record.laws }

  /// Every cell's loss: a row per size and budget, a column per architecture.
  var losses: ReportTable {
    var table = ReportTable(
      caption: "Held-out loss, nats per token; * on the frontier of loss and compute",
      header: ["size", "tokens"] + architectures.map(\.architecture.rawValue), textColumns: 1)
    var seen: [[String]] = []
    for row in rows {
      let tokens = row.number("tokens") ?? 0
      let key = [row.text("size"), "\(tokens)"]
      guard !seen.contains(key) else { continue }
      seen.append(key)
      table.add(
        [row.text("size"), Decimals.short(tokens)]
          + architectures.map { laws in
            guard
              let place = laws.rows.firstIndex(where: {
                $0.text("size") == row.text("size") && $0.number("tokens") == row.number("tokens")
              })
            else { return "" }
            let star = laws.fit.frontier.contains(place) ? " *" : ""
            return Decimals.fixed(laws.points[place].loss, places: 4) + star
          })
    }
    return table
  }

  /// The fitted laws beside the published ones.
  var laws: ReportTable {
    let largest = rows.compactMap { $0.isFinished ? $0.number("compute") : nil }.max()
    let there = largest.map { "at \(Decimals.scientific($0))" } ?? ""
    var table = ReportTable(
      caption:
        "Power laws of compute C in PFLOP/s-days, in brackets the 10th to 90th percentile over "
        + "\(ScalingFit.resamples) resamples of the cells, beside arXiv 2406.16690; and their values at "
        + "the largest compute of the cells",
      header: ["model", "law", "fitted", "published"]
        + (largest == nil ? [] : [there, "published \(there)"]), textColumns: 4)
    func value(_ law: PowerLaw?) -> String {
      guard let law, let largest else { return "" }
      let value = law(largest)
      return value >= 1e3 ? Decimals.short(value) : Decimals.fixed(value, places: 3)
    }
    for laws in architectures {
      let published = laws.architecture.published
      for (name, law, other) in [
        ("L", laws.loss, published.loss), ("N_opt", laws.optimum?.parameters, published.parameters),
        ("D_opt", laws.optimum?.tokens, published.tokens),
      ] {
        table.add([
          laws.architecture.rawValue, name, law.map(Self.words) ?? "–",
          "\(Self.coefficient(other.coefficient)) C^\(Decimals.fixed(other.exponent, places: 4))",
          value(law?.law), value(other),
        ])
      }
    }
    return table
  }

  /// L(N, D) of every architecture.
  var surfaces: ReportTable {
    var table = ReportTable(
      caption:
        "L(N, D) = E + A N^-α + B D^-β and C = k N^m D, fitted to the cells: root mean square and largest relative error",
      header: ["model", "E", "A", "α", "B", "β", "rms error", "k", "m", "error of C"])
    for laws in architectures {
      guard let optimum = laws.optimum else { continue }
      let surface = optimum.surface
      table.add([
        laws.architecture.rawValue, Decimals.fixed(surface.floor, places: 3),
        Decimals.scientific(exp(surface.logA)), Decimals.fixed(surface.alpha, places: 3),
        Decimals.scientific(exp(surface.logB)), Decimals.fixed(surface.beta, places: 3),
        Decimals.fixed(100 * surface.residual, places: 2) + " %",
        Decimals.fixed(
          optimum.cost.coefficient * ScalingArchitecture.operationsOfDay, places: 2),
        Decimals.fixed(optimum.cost.exponent, places: 3),
        Decimals.fixed(100 * optimum.costError, places: 1) + " %",
      ])
    }
    return table
  }

  /// Laws without numbers, formulas, and what cannot be compared.
  var remarks: [String] {
    architectures.flatMap { laws in
      laws.remarks.map { "\(laws.architecture.rawValue): \($0)" }
    }
      + architectures.map {
        "\($0.architecture.rawValue): C = \($0.architecture.formula) operations"
      } + ["What cannot be compared with the published laws:"]
      + ScalingComparison(record, rows).statements.map { "- \($0)" }
  }

  private static func words(_ law: ScalingFit.Law) -> String {
    func interval(_ estimate: ScalingFit.Estimate, _ spelled: (Double) -> String) -> String {
      estimate.interval.map { " [\(spelled($0.lowerBound)), \(spelled($0.upperBound))]" } ?? ""
    }
    func exponent(_ value: Double) -> String { Decimals.fixed(value, places: 4) }
    return coefficient(law.coefficient.value) + interval(law.coefficient, coefficient) + " C^"
      + exponent(law.exponent.value) + interval(law.exponent, exponent)
  }

  private static func coefficient(_ value: Double) -> String {
    value >= 1e3 || value < 1e-2
      ? Decimals.scientific(value) : Decimals.fixed(value, places: 4)
  }
}
