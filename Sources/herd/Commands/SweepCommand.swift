import ArgumentParser
import Workflows

/// `herd sweep`
struct SweepCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "sweep", "Convert, train and measure every cell of a pipeline's grid, and compare them.",
    details: """
      Run again after an interruption or a time limit, it goes on where it stopped. The dense model \
      and static pruning are always compared with.
      """,
    example: """
      herd sweep Pipelines/granularity --output sweeps/granularity --time-limit 9
      herd sweep pipeline.yaml --dry-run
      """)

  @Argument(help: "The pipeline file, with a sweep section.")
  var pipeline: String

  @Option(help: "The sweep folder; sweeps/NAME unless given.")
  var output: String?

  @Option(
    help: ArgumentHelp(
      "Stop cleanly before so many minutes are over; run again to go on.", valueName: "minutes"))
  var timeLimit: Double?

  @Flag(help: "Print cells, tokens, memory and time; write nothing.")
  var dryRun = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard timeLimit.map({ $0 > 0 && $0.isFinite }) ?? true else {
      throw ValidationError("--time-limit takes minutes above 0")
    }
  }

  func run(_ console: Console) throws {
    let pipeline = try Pipeline(contentsOf: pipeline, seed: common.seed)
    let device = common.chosenDevice(console)
    if dryRun {
      let estimate = try SweepEstimate(pipeline, output: output, device: device)
      try console.result(estimate.json) { estimate.text }
      return
    }
    let result = try Sweep(
      pipeline, output: output, device: device, minutes: timeLimit, events: console.events
    ).execute()
    try console.result(result.json) { result.text }
  }
}
