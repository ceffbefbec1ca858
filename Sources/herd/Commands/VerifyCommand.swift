import ArgumentParser
import Workflows

/// `herd verify`
struct VerifyCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "verify", "Prove that a mixture still holds the dense model it came from.",
    details: """
      With every expert chosen the mixture must give the dense model's logits, and every source \
      tensor must come back from it byte for byte.
      """,
    example: "herd verify moe --against llama")

  @Argument(help: "The mixture's folder.")
  var moe: String

  @Option(help: "The dense checkpoint it was made from.")
  var against: String

  @OptionGroup var common: CommonOptions

  func run(_ console: Console) throws {
    let result = try ModelVerification(mixture: moe, dense: against, events: console.events)
      .run(on: common.chosenDevice(console))
    try console.result(result.json) { result.text }
  }
}
