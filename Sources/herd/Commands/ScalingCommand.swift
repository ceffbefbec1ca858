import ArgumentParser
import Workflows

/// `herd scaling`
struct ScalingCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "scaling", "Train a ladder of models from scratch and fit power laws of their loss.",
    details: """
      Sizes, architectures (llama, tnl, hgrn2, cosformer2) and numbers of tokens are in the pipeline's \
      scaling section. Run again after an interruption or a time limit, it goes on where it stopped.
      """,
    example: """
      herd scaling Pipelines/scaling/small.yaml --time-limit 9
      herd scaling pipeline.yaml --dry-run
      """)

  @Argument(help: "The pipeline file, with a scaling section.")
  var pipeline: String

  @Option(help: "The folder of the ladder; ladders/NAME unless given.")
  var output: String?

  @OptionGroup var grid: GridOptions
  @OptionGroup var common: CommonOptions

  func run(_ console: Console) throws {
    let pipeline = try Pipeline(contentsOf: pipeline, seed: common.seed)
    try grid.run(
      Scaling(
        pipeline, output: output, jobs: grid.jobs, device: common.chosenDevice(console),
        minutes: grid.timeLimit, events: console.events), console)
  }
}
