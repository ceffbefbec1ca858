import ArgumentParser
import Workflows

/// `herd diff`
struct DiffCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "diff", "Say which weights differ between two model folders, and by how much.",
    details: """
      The folders may have different formats, and one may be dense where the other has experts: then \
      neurons are looked for wherever they stand. The exit status is 0 when all is equal, 1 when \
      something differs, and 2 when the folders cannot be compared.
      """,
    example: "herd diff Checkpoints/tiny-llama moe")

  @Argument(help: "A model folder.")
  var first: String

  @Argument(help: "Another one.")
  var second: String

  @OptionGroup var common: CommonOptions

  func run(_ console: Console) throws {
    let result: FolderComparison.Result
    do {
      result = try FolderComparison(first, second, events: console.events).execute()
    } catch {
      throw StatusError(status: 2, message: "\(error)")
    }
    try console.result(result.json) { result.text }
    guard result.isEqual else { throw StatusError(status: 1) }
  }
}
