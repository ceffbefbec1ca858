import ArgumentParser
import Formats
import Workflows

/// `herd generate`
struct GenerateCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "generate", "Answer a chat message, or continue a text, token by token.",
    example: """
      herd generate Checkpoints/tiny-llama --chat "What is 12 + 30?" --max-tokens 64
      herd generate linear --prompt "$(cat book.txt)" --save-state book.safetensors --max-tokens 0
      herd generate linear --load-state book.safetensors --prompt " In short,"
      """)

  @Argument(help: "A Hugging Face checkpoint folder.")
  var checkpoint: String

  @Option(help: ArgumentHelp("A message for the assistant to answer.", valueName: "message"))
  var chat: String?

  @Option(help: ArgumentHelp("Plain text to continue, without a chat format.", valueName: "text"))
  var prompt: String?

  @Option(
    help: ArgumentHelp(
      "Write what the model remembers of the text up to the end of the prompt.", valueName: "file"))
  var saveState: String?

  @Option(
    help: ArgumentHelp(
      "Go on from a text that --save-state wrote, with --prompt or without.", valueName: "file"))
  var loadState: String?

  @Option(help: "The most new tokens; 0 only with --save-state.")
  var maxTokens = 256

  @Option(help: "0 takes the best token; 1 samples from the model's distribution.")
  var temperature = 0.0

  @OptionGroup var format: ChatOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if loadState != nil {
      guard chat == nil else {
        throw ValidationError("--load-state goes on with plain text; give --prompt, not --chat")
      }
    } else if (chat == nil) == (prompt == nil) {
      throw ValidationError("give either --chat or --prompt")
    }
    guard maxTokens > 0 || (maxTokens == 0 && saveState != nil) else {
      throw ValidationError("--max-tokens must be at least 1, or 0 with --save-state")
    }
    guard temperature >= 0, temperature.isFinite else {
      throw ValidationError("--temperature must be a number from 0 up")
    }
  }

  func run(_ console: Console) throws {
    var generation = TextGeneration(
      checkpoint: checkpoint, prompt: chat.map { .chat($0) } ?? .text(prompt ?? ""))
    generation.maximumTokens = maxTokens
    generation.savedText = loadState
    generation.savingTo = saveState
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
