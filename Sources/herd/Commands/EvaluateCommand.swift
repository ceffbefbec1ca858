import ArgumentParser
import Workflows

/// `herd evaluate`
struct EvaluateCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "evaluate", "Measure cross-entropy and perplexity per domain, alone or against a dense model.",
    details: """
      A domain is a data file's name up to its first dot. Its records follow one another and are \
      cut into windows; the loss is the mean over the assistant's tokens (all tokens of plain \
      text), in nats.

      A task is a file of samples, scored by lm-evaluation-harness's rules. Its fields say what it \
      is: query, choices, gold; context_options, continuation, gold; context, continuation; \
      context, answer; text; or messages, whose answers must come first. Two tasks need no file: needle \
      hides one fact in a long text, recall eight of which four are asked for.
      """,
    example: """
      herd evaluate moe --data math.val.jsonl.zst code.val.jsonl.zst --against dense
      herd evaluate moe --tasks arc_easy.jsonl.zst piqa.jsonl.zst --samples samples.jsonl
      herd evaluate hybrid --tasks needle,recall --lengths 512,1024,2048 --depths 0,50,100
      """)

  @Argument(help: "A Hugging Face checkpoint folder.")
  var checkpoint: String

  @Option(
    parsing: .upToNextOption,
    help: "Data files: .jsonl or .txt, also compressed as .zst.")
  var data: [String] = []

  @Option(
    help: "Tokens per window, which is also the stride; 1024, for WikiText 2048, unless given.")
  var window: Int?

  @Option(help: "The most windows per domain.")
  var windows = 48

  @Option(help: ArgumentHelp("A dense checkpoint to compare with.", valueName: "dense"))
  var against: String?

  @Option(help: "A WikiText file, for token and word perplexity.")
  var wikitext: String?

  @Option(
    parsing: .upToNextOption,
    help: "Evaluation tasks: .jsonl or .txt, also compressed as .zst; needle and recall.")
  var tasks: [String] = []

  @Option(
    help: """
      The most samples of each task; all unless given. Of needle and recall samples of each length and \
      depth, 10 unless given.
      """)
  var limit: Int?

  @Option(
    help: "Tokens of the texts of needle and recall, such as 512,1024; 512,1024 unless given.")
  var lengths: String?

  @Option(help: "Where the needle lies, in hundredths of the text; 0,25,50,75,100 unless given.")
  var depths: String?

  @Option(
    help: ArgumentHelp(
      "Write every sample of the tasks, with its scores, as JSON Lines.", valueName: "file"))
  var samples: String?

  @Option(help: "Ask this many chat prompts per domain and count exact answers.")
  var exactMatch = 0

  @Flag(help: "Tell, in --json, how layers would route if experts chose tokens.")
  var expertChoice = false

  @OptionGroup var chat: ChatOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard !data.isEmpty || wikitext != nil || !tasks.isEmpty else {
      throw ValidationError("give --data with at least one file, --tasks or --wikitext")
    }
    guard !tasks.isEmpty || (limit == nil && samples == nil) else {
      throw ValidationError("--limit and --samples are for --tasks; give task files")
    }
    for (option, text) in [("--lengths", lengths), ("--depths", depths)] {
      guard let text else { continue }
      guard taskNames.contains("needle") || taskNames.contains("recall") else {
        throw ValidationError("\(option) is for --tasks needle,recall")
      }
      guard Self.numbers(text) != nil else {
        throw ValidationError("\(option) \(text): give numbers such as 512,1024")
      }
    }
    guard limit ?? 1 > 0 else { throw ValidationError("--limit must be at least 1") }
    guard window ?? 1 > 0 else { throw ValidationError("--window must be at least 1") }
    guard windows > 0 else { throw ValidationError("--windows must be at least 1") }
    guard exactMatch >= 0 else { throw ValidationError("--exact-match must not be negative") }
  }

  /// The tasks, of which those without files may be joined by commas.
  private var taskNames: [String] {
    tasks.flatMap { task in
      let parts = task.split(separator: ",").map(String.init)
      let isBuiltIn = !parts.isEmpty && parts.allSatisfy { ["needle", "recall"].contains($0) }
      return isBuiltIn ? parts : [task]
    }
  }

  private static func numbers(_ text: String) -> [Int]? {
    let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    return numbers.contains(nil) ? nil : numbers.compactMap { $0 }
  }

  func run(_ console: Console) throws {
    var evaluation = CheckpointEvaluation(checkpoint: checkpoint, data: data)
    evaluation.settings.window = window ?? 1024
    evaluation.wikiTextWindow = window
    evaluation.settings.windows = windows
    evaluation.reference = against
    evaluation.wikiText = wikitext
    evaluation.exactMatchPrompts = exactMatch
    evaluation.tasks = taskNames
    evaluation.taskLimit = limit
    evaluation.recall.samples = limit
    evaluation.recall.seed = common.seed ?? 0
    if let lengths = lengths.flatMap(Self.numbers) { evaluation.recall.lengths = lengths }
    if let depths = depths.flatMap(Self.numbers) { evaluation.recall.depths = depths }
    evaluation.samplesFile = samples
    evaluation.analysesExpertChoice = expertChoice
    evaluation.chatFormat = chat.chatFormat
    evaluation.device = common.chosenDevice(console)
    let result = try evaluation.run {
      console.events.progress(WorkflowProgress($0.domain, done: $0.done, total: $0.total))
    }
    try console.result(result.json) { result.text }
  }
}
