import Reports

extension TrialReport {
  /// What each method came to where formats were tried until one pair worked.
  func once(
    _ record: TrialRecord, _ refusals: inout RefusalList
  ) -> [ReportDocument.Block] {
    var table = ReportTable(
      header: ["strategy", "router", "works in", "units", "loss"], textColumns: 4)
    var keys: [(strategy: String, router: String?)] = []
    for cell in record.cells
    where !keys.contains(where: { $0.strategy == cell.strategy && $0.router == cell.router }) {
      keys.append((cell.strategy, cell.router))
    }
    for (strategy, router) in keys {
      let cells = record.cells.filter { $0.strategy == strategy && $0.router == router }
      guard let own = cells.first else { continue }
      table.add([
        strategy, router ?? "none",
        cells.filter { $0.measurement != nil }.map(\.format).joined(separator: ", "),
        own.measurement?.units ?? "", Self.loss(own, &refusals),
      ])
    }
    let never = record.formats.compactMap { format -> String? in
      let cells = record.cells.filter { $0.format == format }
      guard !cells.contains(where: { $0.measurement != nil }) else { return nil }
      let letters = TextList.distinct(cells.compactMap(\.refusal).map { refusals.letter($0) })
      return "\(format) \(letters)"
    }
    return [
      .prose(
        "A format that has worked with one pair is not tried with the next."
          + (never.isEmpty ? "" : " Refused with all: \(never.joined(separator: ", ")).")),
      .table(table),
    ]
  }
}
