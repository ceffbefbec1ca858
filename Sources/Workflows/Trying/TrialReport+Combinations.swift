import ExpertConstruction
import Reports

/// Which strategies, routers and formats go together.
extension TrialReport {
  /// Losses of all strategies with all routers, of MLPs and of attention.
  func routers(
    _ record: TrialRecord, _ refusals: inout RefusalList
  ) -> [ReportDocument.Block] {
    MethodPair.Part.allCases.compactMap { part in
      let cells = record.cells.filter {
        $0.part == part.rawValue && $0.format == OutputFormat.herd.rawValue && $0.router != nil
      }
      let routers = part.routers.filter { router in cells.contains { $0.router == router } }
      guard !routers.isEmpty else { return nil }
      var table = ReportTable(header: [part.rawValue] + routers)
      for strategy in part.strategies {
        let own = cells.filter { $0.strategy == strategy }
        guard !own.isEmpty else { continue }
        table.add(
          [strategy]
            + routers.map { router in
              own.first { $0.router == router }.map { Self.loss($0, &refusals) } ?? ""
            })
      }
      return .table(table)
    } + [.prose("Loss in herd's own format, before training.")]
  }

  /// What all strategies come to in all formats, and how it was checked.
  func formats(
    _ record: TrialRecord, _ refusals: inout RefusalList
  ) -> [ReportDocument.Block] {
    let formats = record.formats
    var rows: [(strategies: [String], cells: [String])] = []
    for strategy in record.strategies {
      let cells = formats.map { format in
        Self.summary(
          record.cells.filter { $0.strategy == strategy && $0.format == format }, &refusals)
      }
      if let same = rows.firstIndex(where: { $0.cells == cells }) {
        rows[same].strategies.append(strategy)
      } else {
        rows.append(([strategy], cells))
      }
    }
    return [
      .prose(
        "A cell holds for all routers but those it names; strategies with equal rows share one."),
      .table(
        ReportTable(
          header: ["strategy"] + formats, textColumns: formats.count + 1,
          rows: rows.map { [$0.strategies.joined(separator: ", ")] + $0.cells })),
      .prose(
        "What works was converted, proved, written and checked as follows. A difference is that of "
          + "the loss from the loss of the herd folder that was exported; a scale that is no power "
          + "of two rounds the weights it is folded into."),
      .table(checks(record)),
    ]
  }

  private func checks(_ record: TrialRecord) -> ReportTable {
    var table = ReportTable(
      header: [
        "format", "units where it works", "made from", "checked", "works", "refused",
        "largest difference", "of rounded weights",
      ], textColumns: 4)
    for format in record.formats {
      let cells = record.cells.filter { $0.format == format }
      let works = cells.compactMap(\.measurement)
      func largest(_ rounded: Bool) -> String {
        works.filter { $0.isRounded == rounded }.compactMap(\.difference).max()
          .map { Decimals.fixed($0, places: 7) } ?? ""
      }
      table.add([
        format, TextList.distinct(works.map(\.units)),
        TextList.distinct(works.compactMap(\.source)),
        works.isEmpty ? "" : Self.check(format, works[0]), "\(works.count)",
        "\(cells.count { $0.refusal != nil })", largest(false), largest(true),
      ])
    }
    return table
  }

  private static func check(_ format: String, _ works: TrialCell.Measurement) -> String {
    if format == OutputFormat.herd.rawValue { return "proved against the dense model, scored" }
    return works.loss == nil
      ? "complete, every byte of every tensor written; not read back" : "read back and scored"
  }

  /// What the routers of one strategy come to in one format: what most do, then the others.
  private static func summary(_ cells: [TrialCell], _ refusals: inout RefusalList) -> String {
    var groups: [(outcome: String, routers: [String])] = []
    for cell in cells {
      let outcome = outcome(cell, &refusals)
      if let same = groups.firstIndex(where: { $0.outcome == outcome }) {
        groups[same].routers.append(cell.router ?? "")
      } else {
        groups.append((outcome, [cell.router ?? ""]))
      }
    }
    guard let most = groups.map(\.routers.count).max(),
      let main = groups.first(where: { $0.routers.count == most })
    else { return "" }
    let others = groups.filter { $0.routers != main.routers }.map {
      "\($0.routers.joined(separator: ", ")) \($0.outcome)"
    }
    return ([main.outcome] + others).joined(separator: "; ")
  }
}
