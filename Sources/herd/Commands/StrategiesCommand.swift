import ArgumentParser
import Workflows

/// `herd strategies`
struct StrategiesCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "strategies", "List the ways of making experts of MLPs and attention.",
    example: "herd strategies --json")

  @OptionGroup var common: CommonOptions

  func run(_ console: Console) throws {
    let list = MethodList.strategies
    try console.result(list.json) { list.text }
  }
}
