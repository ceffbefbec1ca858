import ArgumentParser
import Workflows

/// `herd linearize`
struct LinearizeCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "linearize", "Turn the softmax attention of a LLaMA into lightning attention.",
    details: """
      Weights stay: queries, keys, values and outputs, each query head with a copy of its keys and \
      values unless --share-keys. New are norms, which start at one, and gates, drawn from the seed. \
      The model has to be trained afterwards: see Pipelines/lightning-moe. Before or after herd \
      convert, the result is the same where that uses no calibration text; else convert first, on the \
      model the text was made for.

      minimax makes MiniMax-01's layers, with residual connections that start behind the norms: once \
      trained, herd export --format minimax writes what stock transformers loads.
      """,
    example: """
      herd linearize llama hybrid --keep-softmax 25%
      herd linearize llama hybrid --keep-softmax auto --data chat.jsonl
      herd linearize moe hybrid --keep-softmax 3,7 --slopes tnl
      herd linearize llama hybrid --mixer minimax
      """)

  @Argument(help: "A checkpoint with softmax attention, dense or a herd mixture.")
  var dense: String

  @Argument(help: "The folder to write.")
  var out: String

  @Option(help: "What attention becomes: \(LinearizeSettings.mixers).")
  var mixer = LinearizeSettings().mixer

  @Option(
    help: ArgumentHelp(
      "Layers that stay softmax: a share, a list, auto (measured on --data) or none.",
      valueName: "25%|0,7,15|auto|none"))
  var keepSoftmax = LinearizeSettings().keepSoftmax

  @Option(
    help:
      "How fast heads forget: \(LinearizeSettings.slopeNames); alibi, or minimax for that mixer.")
  var slopes: String?

  @Flag(help: "Leave key and value heads shared, with one slope for each.")
  var shareKeys = false

  @Option(help: "Tokens that linear layers also attend to by softmax, such as 64.")
  var window: Int?

  @Option(help: "Positions of the layers that stay softmax: rope or none.")
  var softmaxPositions = LinearizeSettings().softmaxPositions

  @Flag(help: "Give the layers that stay softmax an output gate.")
  var softmaxGate = false

  @Option(help: "Let their scores grow with the length: log of t + a to the base a, such as 500.")
  var softmaxLogScale: Double?

  @Option(help: "Of mixer minimax: factor of the normalised rows in residual connections.")
  var residualAlpha: Double?

  @Option(parsing: .upToNextOption, help: "Text on which auto measures layers.")
  var data: [String] = []

  @Option(help: "Tokens on which auto first aligns linear layers with the softmax ones.")
  var alignmentTokens = LinearizeSettings().alignmentTokens

  @Option(help: "The share of layers that auto keeps.")
  var autoShare = LinearizeSettings().autoShare

  @Flag(help: "Print what would be done; write nothing.")
  var plan = false

  @Flag(help: "Replace the output folder if it exists.")
  var force = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    do {
      try settings.check()
    } catch {
      throw ValidationError("\(error)")
    }
    guard !settings.isMeasured || !data.isEmpty else {
      throw ValidationError("--keep-softmax auto measures layers on text; give --data FILE")
    }
    guard settings.isMeasured || data.isEmpty else {
      throw ValidationError("--data is for --keep-softmax auto; leave it out")
    }
  }

  private var settings: LinearizeSettings {
    var settings = LinearizeSettings()
    settings.mixer = mixer
    settings.keepSoftmax = keepSoftmax
    settings.slopes = slopes
    settings.sharesKeys = shareKeys
    settings.window = window
    settings.softmaxPositions = softmaxPositions
    settings.softmaxGate = softmaxGate
    settings.softmaxLogScale = softmaxLogScale
    settings.residualAlpha = residualAlpha
    settings.data = data
    settings.alignmentTokens = alignmentTokens
    settings.autoShare = autoShare
    return settings
  }

  func run(_ console: Console) throws {
    let move = ModelLinearization(
      source: dense, output: out, settings: settings, seed: common.seed ?? 0, force: force,
      events: console.events)
    if plan {
      let plan = try move.plan()
      try console.result(plan.json) { plan.description }
    } else {
      let result = try move.execute(on: common.chosenDevice(console))
      try console.result(result.json) { result.text }
    }
  }
}
