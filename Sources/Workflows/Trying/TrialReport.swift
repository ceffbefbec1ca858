import ExpertConstruction
import Reports

/// What trials found, as Markdown: which methods there are, what they cost, which go together.
public struct TrialReport {
  let records: [TrialRecord]
  private let command: String?

  /// - Parameters:
  ///   - records: The trial the tables are of, and trials on other checkpoints beside it.
  ///   - command: How a user asks for the tables, where the records were there before.
  public init(_ records: [TrialRecord], command: String? = nil) {
    self.records = records
    self.command = command
  }

  /// The document, ending in a line feed.
  public var markdown: String {
    var refusals = RefusalList()
    var document = ReportDocument(
      title: "Strategies, routers and formats", subtitle: origin)
    document.add("What there is", methods)
    document.add("Losses before training", losses(&refusals))
    for record in records where !record.once {
      document.add("Strategies and routers on \(record.checkpoint)", routers(record, &refusals))
      document.add("Strategies and formats on \(record.checkpoint)", formats(record, &refusals))
    }
    for record in records where record.once {
      document.add("Each method once on \(record.checkpoint)", once(record, &refusals))
    }
    if !refusals.reasons.isEmpty {
      document.add("Reasons", [.prose("\"it\" is the format."), .facts(refusals.list)])
    }
    let failures = records.flatMap(\.failures)
    if !failures.isEmpty {
      document.add(
        "Failures", [.facts(failures.map { (name: $0.name, value: $0.failure ?? "") })])
    }
    return document.markdown()
  }

  /// The commands that make the document again, and what they need besides herd's repository.
  private var origin: String {
    let trials = "Made by: \(records.map(\.command).joined(separator: "; beside it: "))"
    guard let command else { return trials }
    let others = TextList.distinct(records.filter { !$0.isOfRepository }.map(\.checkpoint))
    return trials + "; put together by: \(command). Of absolute paths only the name is given."
      + (others.isEmpty ? "" : " Checkpoints that are not part of herd's repository: \(others).")
  }

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
}

extension TrialRecord {
  /// Whether the command names the checkpoint as one of those that come with herd.
  fileprivate var isOfRepository: Bool {
    command.split(separator: " ").contains { "/\($0)".hasSuffix("/Checkpoints/\(checkpoint)") }
  }
}
