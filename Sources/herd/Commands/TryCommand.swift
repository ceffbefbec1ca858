import ArgumentParser
import Glibc
import Workflows

/// `herd try`
struct TryCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "try", "Try every strategy with every router in every format, and say what works.",
    details: """
      Each pair of a strategy and a router is converted, proved, scored and exported; nothing is kept \
      but the tables, or with --json every cell. A cell works, or is refused with its reason; where \
      one does neither, the exit status is 1.
      """,
    example: """
      herd try llama --data chat.jsonl --output strategies.md
      herd try other --data chat.jsonl --once --json > other.json
      herd try llama --data chat.jsonl --json > llama.json
      herd try --beside llama.json other.json --output strategies.md
      """)

  @Argument(help: "The dense checkpoint folder; without it tables are made of --beside alone.")
  var dense: String?

  @Option(parsing: .upToNextOption, help: "Calibration text.")
  var data: [String] = []

  @Option(
    parsing: .upToNextOption, help: "Text to take losses on; the calibration text unless given.")
  var evaluate: [String] = []

  @Option(help: "Units of an MLP; of some pairs one is shared.")
  var experts = defaults.units

  @Option(help: "Units that a token uses.")
  var topK = defaults.active

  @Option(help: "Calibration tokens.")
  var calibrationTokens = defaults.calibrationTokens

  @Option(help: "Tokens per window of the losses.")
  var window = defaults.window

  @Option(help: "Windows per file.")
  var windows = defaults.windows

  @Flag(help: "Let each record attend to itself only where losses are taken.")
  var documents = false

  @Option(parsing: .upToNextOption, help: "Only these strategies, of MLPs or attention.")
  var strategies: [String] = []

  @Option(parsing: .upToNextOption, help: "Only these routers.")
  var routers: [String] = []

  @Option(parsing: .upToNextOption, help: "Only these formats besides herd's own.")
  var formats: [String] = []

  @Flag(help: "Each strategy, router and format once, in place of all combinations.")
  var once = false

  @Option(
    parsing: .upToNextOption,
    help: "What herd try --json printed of other checkpoints, to stand in the same tables.")
  var beside: [String] = []

  @Option(help: "The Markdown file to write; standard output unless given.")
  var output: String?

  @Flag(help: "Replace the output file if it exists.")
  var force = false

  @OptionGroup var common: CommonOptions

  private static let defaults = TrialSettings(dense: "", data: [])

  func validate() throws {
    guard let dense else {
      guard !beside.isEmpty else {
        throw ValidationError("give a dense checkpoint with --data, or records with --beside")
      }
      if let option = trialOptions.first(where: \.isGiven)?.name {
        throw ValidationError(
          "\(option) is for trials: give a dense checkpoint, or leave it out to put records together"
        )
      }
      return
    }
    guard !data.isEmpty else { throw ValidationError("give calibration text with --data") }
    do {
      try settings(dense).check()
    } catch {
      throw ValidationError("\(error)")
    }
  }

  /// The options that say nothing where nothing is tried, and whether they differ from their defaults.
  private var trialOptions: [(name: String, isGiven: Bool)] {
    let usual = Self.defaults
    return [
      ("--data", !data.isEmpty), ("--evaluate", !evaluate.isEmpty),
      ("--experts", experts != usual.units), ("--top-k", topK != usual.active),
      ("--calibration-tokens", calibrationTokens != usual.calibrationTokens),
      ("--window", window != usual.window), ("--windows", windows != usual.windows),
      ("--documents", documents), ("--strategies", !strategies.isEmpty),
      ("--routers", !routers.isEmpty), ("--formats", !formats.isEmpty), ("--once", once),
      ("--json", common.json), ("--device", common.device != .automatic),
      ("--precision", common.precision != .f32), ("--threads", common.threads != 0),
      ("--seed", common.seed != nil),
    ]
  }

  private func settings(_ dense: String) -> TrialSettings {
    var settings = TrialSettings(dense: dense, data: data)
    settings.evaluation = evaluate
    (settings.units, settings.active) = (experts, topK)
    settings.calibrationTokens = calibrationTokens
    (settings.window, settings.windows) = (window, windows)
    settings.separatesDocuments = documents
    settings.strategies = strategies
    settings.routers = routers
    settings.formats = formats
    settings.once = once
    settings.seed = common.seed ?? 0
    return settings
  }

  func run(_ console: Console) throws {
    let others = try beside.map { try TrialRecord(contentsOf: $0) }
    let file = try output.map { try TextOutput($0, replaces: force) }
    guard let dense else {
      let text = TrialReport(others, command: SpelledCommand.current).markdown
      try file?.write(text)
      try console.result(.null) { file.map { "wrote \($0.path)" } ?? text }
      return
    }
    let scratch = try ScratchFolder("herd-try")
    Interruption.remove(scratch.path)
    let record = try MethodTrials(
      settings(dense), command: SpelledCommand.current, device: common.chosenDevice(console),
      events: console.events
    ).execute(in: scratch)
    let report = TrialReport([record] + others)
    try file?.write(report.markdown)
    try console.result(record.json) {
      file.map { "\(record.summary)\nwrote \($0.path)" } ?? report.markdown
    }
    if let first = record.failures.first {
      throw StatusError(
        status: EXIT_FAILURE,
        message: "\(record.failures.count) of \(record.cells.count) cells failed, first "
          + "\(first.name): \(first.failure ?? "")")
    }
  }
}
