import ArgumentParser
import Workflows

/// `herd report`
struct ReportCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "report", "Make the report of a run, sweep or ladder again, or compare runs.",
    details: """
      Without --compare, report.html and report.md are written anew from what the folder holds; \
      with it, comparison.html and comparison.md. Nothing is computed again.
      """,
    example: """
      herd report runs/first
      herd report runs/first --compare runs/second runs/third
      """)

  @Argument(help: "A folder that herd run, herd sweep or herd scaling wrote.")
  var folder: String

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Run folders to compare it with.", valueName: "folder"))
  var compare: [String] = []

  @OptionGroup var common: CommonOptions

  func run(_ console: Console) throws {
    let result = try ReportMaking(folder, comparedWith: compare).execute()
    try console.result(result.json) { result.text }
  }
}
