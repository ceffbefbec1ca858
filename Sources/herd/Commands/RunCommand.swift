import ArgumentParser
import Workflows

/// `herd run`
struct RunCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "run", "Do everything a pipeline file says, from dense checkpoint to report.",
    details: "Run again after an interruption, it goes on where it stopped.",
    example: """
      herd run Pipelines/quickstart/pipeline.yaml
      herd run pipeline.yaml --output runs/second --dry-run
      """)

  @Argument(help: "The pipeline file.")
  var pipeline: String

  @Option(help: "The run folder; runs/NAME unless given.")
  var output: String?

  @Flag(help: "Print steps, tokens, memory and time; write nothing.")
  var dryRun = false

  @OptionGroup var common: CommonOptions

  func run(_ console: Console) throws {
    let pipeline = try Pipeline(contentsOf: pipeline, seed: common.seed)
    if dryRun {
      let estimate = try RunEstimate(
        pipeline, output: output ?? "runs/\(pipeline.name)", device: common.chosenDevice(console))
      try console.result(estimate.json) { estimate.text }
      return
    }
    let result = try Run(
      pipeline, output: output, device: common.chosenDevice(console), events: console.events
    ).execute()
    try console.result(result.json) { result.text }
  }
}
