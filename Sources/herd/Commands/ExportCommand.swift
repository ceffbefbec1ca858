import ArgumentParser
import Workflows

/// `herd export`
struct ExportCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "export", "Write a herd model in a format that stock transformers loads.",
    details: "A format that cannot hold the model exactly is refused with the reason.",
    example: "herd export moe moe-mixtral --format mixtral")

  @Argument(help: "A folder in herd's own format.")
  var source: String

  @Argument(help: "The folder to write.")
  var out: String

  @Option(help: "What to write: \(ConvertSettings.formats).")
  var format: String

  @Flag(help: "Replace the output folder if it exists.")
  var force = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    var settings = ConvertSettings()
    settings.format = format
    do {
      try settings.checkNames()
    } catch {
      throw ValidationError("\(error)")
    }
  }

  func run(_ console: Console) throws {
    let result = try ModelExport(
      source: source, output: out, format: format, force: force, events: console.events
    ).execute()
    try console.result(result) { "wrote \(out) as \(format)" }
  }
}
