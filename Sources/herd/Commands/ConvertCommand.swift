import ArgumentParser
import Workflows

/// `herd convert`
struct ConvertCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "convert", "Turn a dense LLaMA checkpoint into a Mixture of Experts.",
    details: """
      E + S must divide the MLP width; (k + S) / (E + S) of each MLP is active. The upcycle \
      strategies copy the whole MLP into each expert instead. Every source element is used exactly \
      once, or the neurons that are not are named; each layer is proved while it is written.
      """,
    example: """
      herd convert llama moe --experts 7 --top-k 1 --shared 1 --data chat.jsonl
      herd convert llama heads --strategy none --attention heads --data chat.jsonl
      herd convert llama upcycled --strategy upcycle --experts 8 --top-k 2
      herd convert llama narrow --strategy prune --experts 8 --top-k 2 --format llama
      herd convert llama mixtral --format mixtral --experts 8 --top-k 2 --shared 0 --plan
      """)

  @Argument(help: "The dense checkpoint folder.")
  var dense: String

  @Argument(help: "The folder to write.")
  var out: String

  @Option(help: "Routed experts.")
  var experts = ConvertSettings().experts

  @Option(help: "Routed experts each token uses.")
  var topK = ConvertSettings().topK

  @Option(
    help: "Routed experts per token on average over calibration text; --top-k is then the most.")
  var meanTopK: Double?

  @Option(
    help: """
      Always-on experts of the same width; by default what suits the strategy. auto searches for \
      each layer; --experts then counts all units, --top-k all that a token uses.
      """)
  var shared: String?

  @Option(help: "Layers whose MLPs stay dense, such as 0,31.")
  var keepDense: String?

  @Option(help: "How neurons are divided: \(ConvertSettings.strategies).")
  var strategy = ConvertSettings().strategy

  @Option(help: "How gradient strategies give neurons away: \(ConvertSettings.assignments).")
  var assignment: String?

  @Option(help: "What of attention becomes experts: \(ConvertSettings.attentions).")
  var attention = ConvertSettings().attention

  @Option(help: "Routed attention experts; by default what the model's heads allow.")
  var attentionExperts: Int?

  @Option(help: "Routed attention experts each token uses.")
  var attentionTopK: Int?

  @Option(help: "Always-on attention units of the same size (heads).")
  var attentionShared: Int?

  @Option(help: "The share of an expert's neurons that drop-upcycle draws anew (default: 0.5).")
  var dropRatio: Double?

  @Option(
    help: """
      How the router is made: \(ConvertSettings.routers); by default what suits the strategy, \
      regressed unless experts are copies.
      """)
  var router: String?

  @Option(help: "How experts are corrected without training: \(ConvertSettings.recoveries).")
  var recovery = ConvertSettings().recovery

  @Option(help: "How chosen experts are weighted: \(ConvertSettings.combinations).")
  var combination: String?

  @Option(help: "What to write: \(ConvertSettings.formats).")
  var format = ConvertSettings().format

  @Option(parsing: .upToNextOption, help: "Calibration text; without it the model writes its own.")
  var data: [String] = []

  @Option(help: "Calibration tokens.")
  var calibrationTokens = ConvertSettings().calibrationTokens

  @Flag(help: "Print what would be done; write nothing.")
  var plan = false

  @Flag(help: "Replace the output folder if it exists.")
  var force = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if let shared, shared != "auto", Int(shared) == nil {
      throw ValidationError("--shared \(shared): give a number or auto")
    }
    do {
      if let keepDense { _ = try ConvertSettings.layers(keepDense) }
      try settings.checkNames()
    } catch {
      throw ValidationError("\(error)")
    }
  }

  private var settings: ConvertSettings {
    var settings = ConvertSettings()
    settings.experts = experts
    settings.topK = topK
    settings.meanTopK = meanTopK
    settings.searchesShared = shared == "auto"
    settings.shared = shared.flatMap { Int($0) }
    settings.strategy = strategy
    settings.assignment = assignment
    settings.dropRatio = dropRatio
    settings.attention = attention
    settings.attentionExperts = attentionExperts
    settings.attentionTopK = attentionTopK
    settings.attentionShared = attentionShared
    settings.router = router
    settings.recovery = recovery
    settings.combination = combination
    settings.format = format
    settings.data = data
    settings.calibrationTokens = calibrationTokens
    // Checked by `validate`.
    settings.keepDense = keepDense.flatMap { try? ConvertSettings.layers($0) } ?? []
    return settings
  }

  func run(_ console: Console) throws {
    let conversion = ModelConversion(
      source: dense, output: out, settings: settings, seed: common.seed ?? 0, force: force,
      events: console.events)
    if plan {
      let plan = try conversion.plan()
      try console.result(plan.json) { plan.description }
    } else {
      let result = try conversion.execute(on: common.chosenDevice(console))
      try console.result(result.json) { result.text }
    }
  }
}
