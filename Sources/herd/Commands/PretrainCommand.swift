import ArgumentParser
import Workflows

/// `herd pretrain`
struct PretrainCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "pretrain", "Train a new model from scratch: a pipeline with an \"initialize\" section.",
    details: """
      Architectures: llama, tnl, transnormer, hgrn2, cosformer2, and eos with a mixer of your own; \
      hybrids name their softmax_layers. Otherwise as herd run.
      """,
    example: """
      herd pretrain Pipelines/pretrain/tnl.yaml
      herd pretrain Pipelines/pretrain/hgrn2.yaml --output runs/hgrn2
      """)

  @Argument(help: "The pipeline file.")
  var pipeline: String

  @Option(help: "The run folder; runs/NAME unless given.")
  var output: String?

  @OptionGroup var common: CommonOptions

  func run(_ console: Console) throws {
    let pipeline = try Pipeline(contentsOf: pipeline, seed: common.seed)
    try pipeline.checkStartsFromScratch()
    let result = try Run(
      pipeline, output: output, device: common.chosenDevice(console), events: console.events
    ).execute()
    try console.result(result.json) { result.text }
  }
}
