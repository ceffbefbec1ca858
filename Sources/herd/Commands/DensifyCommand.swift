import ArgumentParser
import Workflows

/// `herd densify`
struct DensifyCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "densify", "Turn a mixture back into a dense model.",
    details: """
      A mixture that was not trained gives its dense source back by the ledger beside its weights, byte \
      for byte but where a folded scale rounded it. One that was trained, or whose matrices a recovery \
      rewrote, becomes a dense model with the experts side by side; what that loses is printed, and a \
      mixture whose experts do not enter with weight one is refused.
      """,
    example: "herd densify moe dense")

  @Argument(help: "The mixture's folder, in any format herd reads.")
  var moe: String

  @Argument(help: "The folder to write.")
  var out: String

  @Flag(help: "Put experts side by side although they do not enter with weight one.")
  var weightsAsOne = false

  @Flag(help: "Replace the output folder if it exists.")
  var force = false

  @OptionGroup var common: CommonOptions

  func run(_ console: Console) throws {
    let result = try ModelDensification(
      source: moe, output: out, weightsAsOne: weightsAsOne, force: force, events: console.events
    ).execute()
    try console.result(result.json) { result.text }
  }
}
