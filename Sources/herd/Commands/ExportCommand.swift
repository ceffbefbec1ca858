import ArgumentParser
import Workflows

/// `herd export`
struct ExportCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "export", "Write a herd model in a format that stock transformers or llama.cpp loads.",
    details: """
      A format that cannot hold the model exactly is refused with the reason. gguf is one file for \
      llama.cpp; it is also written from dense models and from stock formats.
      """,
    example: """
      herd export moe moe-mixtral --format mixtral
      herd export moe moe.gguf --format gguf --dtype q8_0
      """)

  @Argument(help: "A folder in herd's own format; for gguf any model folder.")
  var source: String

  @Argument(help: "The folder to write, or for gguf the file.")
  var out: String

  @Option(help: "What to write: \(ModelExport.formats).")
  var format: String

  @Option(
    help: ArgumentHelp(
      "How gguf stores weights: \(ModelExport.weightTypes); bf16 where the source is, else f32.",
      valueName: "type"))
  var dtype: String?

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    do {
      try export(.init()).checkNames()
    } catch {
      throw ValidationError("\(error)")
    }
  }

  private func export(_ events: WorkflowEvents) -> ModelExport {
    ModelExport(
      source: source, output: out, format: format, weights: dtype, force: force, events: events)
  }

  func run(_ console: Console) throws {
    let result = try export(console.events).execute()
    try console.result(result) { "wrote \(out) as \(format)" }
  }
}
