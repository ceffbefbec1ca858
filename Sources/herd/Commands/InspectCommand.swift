import ArgumentParser
import Workflows

/// `herd inspect`
struct InspectCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "inspect", "Show what a checkpoint holds and check all that loading would, without weights.",
    details: """
      Checks config.json against every tensor's shape, the index against the shards, and the \
      tokenizer against the vocabulary.
      """,
    example: "herd inspect Checkpoints/tiny-llama --tensors")

  @Argument(help: "A Hugging Face checkpoint folder.")
  var checkpoint: String

  @Flag(help: "List every tensor.")
  var tensors = false

  @OptionGroup var common: CommonOptions

  func run(_ console: Console) throws {
    let inspection = try CheckpointInspection(checkpoint)
    try console.result(inspection.json(listingTensors: tensors)) {
      inspection.summary + (tensors ? "\n" + inspection.tensorTable : "")
    }
  }
}
