import ExpertConstruction
import Reports

/// What trials found, as Markdown: which methods there are, what they cost, which go together.
public struct TrialReport {
  private let records: [TrialRecord]

  /// - Parameter records: The trial the tables are of, and trials on other checkpoints beside it.
  public init(_ records: [TrialRecord]) { self.records = records }

  /// The document, ending in a line feed.
  public var markdown: String {
    var refusals = RefusalList()
    var document = ReportDocument(
      title: "Strategies, routers and formats",
      subtitle: "Made by: \(records.map(\.command).joined(separator: "; beside it: "))")
    document.add("What there is", methods)
    document.add("Losses before training", losses(&refusals))
    for record in records where !record.once {
      document.add("Strategies and routers on \(record.checkpoint)", routers(record, &refusals))
      document.add("Strategies and formats on \(record.checkpoint)", formats(record, &refusals))
    }
    for record in records where record.once {
      document.add("Each method once on \(record.checkpoint)", once(record, &refusals))
    }
    document.add(
      "Reasons",
      [
        .prose("\"it\" is the format."), .facts(refusals.list),
      ])
    let failures = records.flatMap(\.failures)
    if !failures.isEmpty {
      document.add(
        "Failures", [.facts(failures.map { (name: $0.name, value: $0.failure ?? "") })])
    }
    return document.markdown()
  }

  // MARK: - Methods

  private var methods: [ReportDocument.Block] {
    let (strategies, routers) = (MethodList.strategies, MethodList.routers)
    return [
      table("strategy", strategies.mlp), table("attention", strategies.attention),
      table("router", routers.mlp),
    ]
  }

  private func table(_ what: String, _ methods: [MethodList.Method]) -> ReportDocument.Block {
    let tried = Set(records.flatMap(\.cells).flatMap { [$0.strategy, $0.router] })
    return .table(
      ReportTable(
        header: [what, "what it does", "data", "cost", "source"], textColumns: 5,
        rows: methods.filter { tried.contains($0.name) }.map {
          [$0.name, $0.summary, $0.data, $0.cost, $0.source]
        }))
  }

  // MARK: - Losses

  private func losses(_ refusals: inout RefusalList) -> [ReportDocument.Block] {
    var table = ReportTable(
      header: ["strategy", "router", "units"]
        + records.flatMap { ["active", "loss, \($0.checkpoint)", "time, \($0.checkpoint)"] }
        + ["best router, \(records[0].checkpoint)"], textColumns: 3)
    for strategy in records[0].strategies {
      let cells = records.map { $0.usualCell(of: strategy) }
      guard let first = cells[0] else { continue }
      var row = [strategy, first.router ?? "none", first.measurement?.units ?? ""]
      for (record, cell) in zip(records, cells) {
        row += [
          cell?.measurement.map { Self.percent($0.activeShare) } ?? "",
          cell.map { Self.loss($0, &refusals) } ?? "",
          cell.flatMap { record.time(of: $0) } ?? "",
        ]
      }
      table.add(row + [records[0].bestRouter(of: strategy)])
    }
    return records.map { .prose($0.protocolText) } + [
      .prose(
        "Losses are nats per target, mean over the files, in herd's own format. Units are shared + "
          + "routed ones, top-k of the routed; of attention they are heads. Time is that of a "
          + "conversion with its proof and the router named, as a multiple of that of the strategy "
          + "sequential with its own; it is rough where the machine does other work besides."),
      .table(table),
    ]
  }

  // MARK: - Pairs

  private func routers(
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

  private func formats(
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
        format, Self.distinct(works.map(\.units)), Self.distinct(works.compactMap(\.source)),
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

  private static func outcome(_ cell: TrialCell, _ refusals: inout RefusalList) -> String {
    switch cell.outcome {
    case .works: "works"
    case .refused(let reason): "refused \(refusals.letter(reason))"
    case .failed: "failed"
    }
  }

  private func once(
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
      let letters = Self.distinct(cells.compactMap(\.refusal).map { refusals.letter($0) })
      return "\(format) \(letters)"
    }
    return [
      .prose(
        "A format that has worked with one pair is not tried with the next."
          + (never.isEmpty ? "" : " Refused with all: \(never.joined(separator: ", ")).")),
      .table(table),
    ]
  }

  // MARK: - Spellings

  private static func loss(_ cell: TrialCell, _ refusals: inout RefusalList) -> String {
    cell.measurement?.loss.map { Decimals.fixed($0, places: 3) } ?? outcome(cell, &refusals)
  }

  private static func percent(_ share: Double) -> String {
    Decimals.trimmed(share * 100, places: 1) + " %"
  }

  /// Every text once, in order.
  private static func distinct(_ texts: [String]) -> String {
    var seen: [String] = []
    for text in texts where !seen.contains(text) { seen.append(text) }
    return seen.joined(separator: ", ")
  }
}

extension TrialCell.Measurement {
  /// The units as `1 + 7 top-1`.
  fileprivate var units: String {
    guard let experts, let topK else { return "dense" }
    let shared = shared ?? 0
    return (shared > 0 ? "\(shared) + " : "") + "\(experts) top-\(topK)"
  }
}

extension TrialRecord {
  /// The strategies tried, in order.
  fileprivate var strategies: [String] {
    TrialSettings.strategyNames.filter { name in cells.contains { $0.strategy == name } }
  }

  /// The formats tried, in order.
  fileprivate var formats: [String] {
    TrialSettings.formatNames.filter { name in cells.contains { $0.format == name } }
  }

  /// The cell of a strategy in herd's own format with the first router that it works with.
  fileprivate func usualCell(of strategy: String) -> TrialCell? {
    let own = cells.filter { $0.strategy == strategy && $0.format == OutputFormat.herd.rawValue }
    return own.first { $0.measurement != nil } ?? own.first
  }

  /// The conversion's time as a multiple of that of the plainest strategy, or in seconds where that
  /// one was not tried.
  fileprivate func time(of cell: TrialCell) -> String? {
    guard let seconds = cell.measurement?.seconds else { return nil }
    let plainest = usualCell(of: StrategyName.sequential.rawValue)?.measurement?.seconds
    guard let plainest, plainest > 0 else { return "\(Decimals.fixed(seconds, places: 1)) s" }
    return "\(Decimals.fixed(seconds / plainest, places: 1)) ×"
  }

  /// The router of least loss and that loss; nothing where there was no choice.
  fileprivate func bestRouter(of strategy: String) -> String {
    let losses = cells.filter {
      $0.strategy == strategy && $0.format == OutputFormat.herd.rawValue
    }.compactMap { cell in
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
