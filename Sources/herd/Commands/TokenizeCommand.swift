import ArgumentParser
import Formats
import Workflows

/// `herd tokenize`
struct TokenizeCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "tokenize", "Turn lines of text into token ids, one line of ids per line, or back.",
    details: """
      Lines end at LF only. Special tokens spelled out in the text count as such; the tokenizer's \
      own, such as the beginning of the text, are added with --special.
      """,
    example: """
      echo "Hello, world" | herd tokenize Checkpoints/tiny-llama
      herd tokenize Checkpoints/tiny-llama --file ids.txt --decode
      """)

  @Argument(help: "A checkpoint folder with tokenizer.json.")
  var checkpoint: String

  @Option(help: "The file to read instead of standard input.")
  var file: String?

  @Flag(help: "Turn ids back into text.")
  var decode = false

  @Flag(help: "Add the tokenizer's special tokens; with --decode, leave all special tokens out.")
  var special = false

  @OptionGroup var common: CommonOptions

  func run(_ console: Console) throws {
    let tokenizer = try LineTokenizer(checkpoint: checkpoint, usesSpecialTokens: special)
    let reader = try LineReader(path: file)
    var lines: [JSON] = []
    var pending = ""
    while let line = try reader.next() {
      let converted = try convert(line, tokenizer, at: "\(reader.name):\(reader.line)")
      if console.isJSON {
        lines.append(converted.json)
        continue
      }
      pending += converted.text + "\n"
      if pending.utf8.count > 1 << 16 {
        try console.stream(pending)
        pending = ""
      }
    }
    guard console.isJSON else { return try console.stream(pending) }
    try console.result([decode ? "text" : "ids": .array(lines)]) { "" }
  }

  private func convert(_ line: String, _ tokenizer: LineTokenizer, at place: String) throws -> (
    json: JSON, text: String
  ) {
    if decode {
      let text = try tokenizer.text(of: line, at: place)
      return (JSON(text), text)
    }
    let ids = tokenizer.ids(of: line)
    return (
      .array(ids.map { JSON(Int($0)) }), ids.lazy.map(String.init).joined(separator: " ")
    )
  }
}
