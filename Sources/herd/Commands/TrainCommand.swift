import ArgumentParser
import Workflows

/// `herd train`
struct TrainCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "train", "Run the training stages of a pipeline, without export and report.",
    example: """
      herd train pipeline.yaml --stage stage1
      herd train pipeline.yaml --resume
      """)

  @Argument(help: "The pipeline file.")
  var pipeline: String

  @Option(help: "Stop after this stage; the last one unless given.")
  var stage: String?

  @Flag(help: "Go on with a run that was started before.")
  var resume = false

  @Option(help: "The run folder; runs/NAME unless given.")
  var output: String?

  @OptionGroup var common: CommonOptions

  func run(_ console: Console) throws {
    let pipeline = try Pipeline(contentsOf: pipeline, seed: common.seed)
    let result = try Run(
      pipeline, output: output, device: common.chosenDevice(console), events: console.events
    ).train(through: stage, resume: resume)
    try console.result(result.json) { result.text }
  }
}
