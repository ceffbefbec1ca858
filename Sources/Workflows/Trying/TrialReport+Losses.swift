import ExpertConstruction
import Reports

extension TrialReport {
  /// Every strategy with the router it is first made with, on all checkpoints.
  func losses(_ refusals: inout RefusalList) -> [ReportDocument.Block] {
    // Where each method was tried once, one strategy alone had a choice of routers.
    let choosing = records.filter { !$0.once }
    var table = ReportTable(
      header: ["strategy", "router", "units"]
        + records.flatMap { ["active", "loss, \($0.checkpoint)", "time, \($0.checkpoint)"] }
        + choosing.map { "best router, \($0.checkpoint)" }, textColumns: 3)
    for (strategy, router) in usualPairs {
      let cells = records.map { $0.ownCells(of: strategy).first { $0.router == router } }
      var row = [
        strategy, router ?? "none", TextList.distinct(cells.compactMap { $0?.measurement?.units }),
      ]
      for (record, cell) in zip(records, cells) {
        row += [
          cell?.measurement.map { Self.percent($0.activeShare) } ?? "",
          cell.map { Self.loss($0, &refusals) } ?? "",
          cell.flatMap { record.time(of: $0) } ?? "",
        ]
      }
      table.add(row + choosing.map { $0.bestRouter(of: strategy) })
    }
    return records.map { .prose($0.protocolText) } + [
      .prose(
        "Losses are nats per target, mean over the files, in herd's own format. Units are shared + "
          + "routed ones, top-k of the routed, of one checkpoint after the other where they differ; "
          + "of attention they are heads. Time is that of a conversion with its proof, with the "
          + "first router that goes with the strategy, as a multiple of that of sequential with its "
          + "first; it is rough where the machine does other work besides."), .table(table),
    ]
  }

  /// All strategies that some record tried, with the router that is usual there: more than one where
  /// records differ.
  private var usualPairs: [(strategy: String, router: String?)] {
    TrialSettings.strategyNames.flatMap { strategy -> [(strategy: String, router: String?)] in
      var routers: [String?] = []
      for cell in records.compactMap({ $0.usualCell(of: strategy) })
      where !routers.contains(cell.router) {
        routers.append(cell.router)
      }
      return routers.map { (strategy, $0) }
    }
  }
}

extension TrialRecord {
  /// The cells of a strategy in herd's own format, in order.
  fileprivate func ownCells(of strategy: String) -> [TrialCell] {
    cells.filter { $0.strategy == strategy && $0.format == OutputFormat.herd.rawValue }
  }

  /// The cell of a strategy in herd's own format with the first router that it works with.
  fileprivate func usualCell(of strategy: String) -> TrialCell? {
    let own = ownCells(of: strategy)
    return own.first { $0.measurement != nil } ?? own.first
  }

  /// The conversion's time as a multiple of that of the plainest strategy, or in seconds where that
  /// one was not tried. Only of the first router: what the routers of a strategy share counts for it.
  fileprivate func time(of cell: TrialCell) -> String? {
    guard let seconds = cell.measurement?.seconds, cell == usualCell(of: cell.strategy) else {
      return nil
    }
    let plainest = usualCell(of: StrategyName.sequential.rawValue)?.measurement?.seconds
    guard let plainest, plainest > 0 else { return "\(Decimals.fixed(seconds, places: 1)) s" }
    return "\(Decimals.fixed(seconds / plainest, places: 1)) ×"
  }

  /// The router of least loss and that loss; nothing where there was no choice.
  fileprivate func bestRouter(of strategy: String) -> String {
    let losses = ownCells(of: strategy).compactMap { cell in
      cell.router.flatMap { router in
        cell.measurement?.loss.map { (router: router, loss: $0) }
      }
    }
    guard losses.count > 1, let best = losses.min(by: { $0.loss < $1.loss }) else { return "" }
    return "\(best.router) \(Decimals.fixed(best.loss, places: 3))"
  }

  /// One paragraph on how the figures were taken.
  fileprivate var protocolText: String {
    let sequential = usualCell(of: StrategyName.sequential.rawValue)?.measurement?.seconds
    return "\(checkpoint): dense \(Decimals.fixed(denseLoss, places: 3)); \(units.all) units, "
      + "\(units.active) active; \(calibrationTokens) calibration tokens; losses on "
      + "the first \(windows.count) windows of \(windows.length) tokens per file"
      + (windows.separateDocuments ? ", each record by itself" : "")
      + "; herd \(version) on \(machine), \(Decimals.fixed(seconds, places: 0)) s in all"
      + (sequential.map { ", \(Decimals.fixed($0, places: 1)) s for sequential" } ?? "") + "."
  }
}
