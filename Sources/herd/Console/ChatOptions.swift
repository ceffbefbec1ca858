import ArgumentParser
import Workflows

/// How conversations are written, for checkpoints that do not tell.
struct ChatOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The chat format, if the checkpoint tells none: \(ChatFormatName.all.joined(separator: ", ")).",
      valueName: "format"))
  var chatFormat: String?

  func validate() throws {
    if let chatFormat, !ChatFormatName.all.contains(chatFormat) {
      throw ValidationError(
        "--chat-format takes \(ChatFormatName.all.joined(separator: ", ")), not \(chatFormat)")
    }
  }
}
