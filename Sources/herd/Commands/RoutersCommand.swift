import ArgumentParser
import Workflows

/// `herd routers`
struct RoutersCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "routers", "List the ways of making routers.", example: "herd routers --json")

  @OptionGroup var common: CommonOptions

  func run(_ console: Console) throws {
    let list = MethodList.routers
    try console.result(list.json) { list.text }
  }
}
