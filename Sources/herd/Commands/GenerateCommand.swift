import ArgumentParser
import Formats
import Workflows

/// `herd generate`
struct GenerateCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "generate", "Answer a chat message, or continue a text, token by token.",
    example: """
      herd generate Checkpoints/tiny-llama --chat "What is 12 + 30?" --max-tokens 64
      """)

  @Argument(help: "A Hugging Face checkpoint folder.")
  var checkpoint: String

  @Option(help: ArgumentHelp("A message for the assistant to answer.", valueName: "message"))
  var chat: String?

  @Option(help: ArgumentHelp("Plain text to continue, without a chat format.", valueName: "text"))
  var prompt: String?

  @Option(help: "The most new tokens.")
  var maxTokens = 256

  @Option(help: "0 takes the best token; 1 samples from the model's distribution.")
  var temperature = 0.0

  @OptionGroup var format: ChatOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (chat == nil) != (prompt == nil) else {
      throw ValidationError("give either --chat or --prompt")
    }
    guard maxTokens > 0 else { throw ValidationError("--max-tokens must be at least 1") }
    guard temperature >= 0, temperature.isFinite else {
      throw ValidationError("--temperature must be a number from 0 up")
    }
  }

  func run(_ console: Console) throws {
    var generation = TextGeneration(
      checkpoint: checkpoint, prompt: chat.map { .chat($0) } ?? .text(prompt ?? ""))
    generation.maximumTokens = maxTokens
    generation.temperature = temperature
    generation.seed = common.seed ?? 0
    generation.chatFormat = format.chatFormat
    generation.device = common.chosenDevice(console)
    if console.isJSON {
      let result = try generation.run()
      return try console.result(result.json) { result.text }
    }
    _ = try generation.run { try console.stream($0) }
    try console.stream("\n")
  }
}
