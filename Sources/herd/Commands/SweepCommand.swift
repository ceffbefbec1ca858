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

  @OptionGroup var grid: GridOptions
  @OptionGroup var common: CommonOptions

  func run(_ console: Console) throws {
    let pipeline = try Pipeline(contentsOf: pipeline, seed: common.seed)
    try grid.run(
      Sweep(
        pipeline, output: output, jobs: grid.jobs, device: common.chosenDevice(console),
        minutes: grid.timeLimit, events: console.events), console)
  }
}
