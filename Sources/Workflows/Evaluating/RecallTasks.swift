import Data
import Formats

/// The tasks that need no file: facts to be found again in texts of chosen lengths.
public struct RecallTaskSettings: Sendable, Equatable {
  /// Tokens of the texts.
  public var lengths = [512, 1024]
  /// Where the needle lies, in hundredths of the text.
  public var depths = [0, 25, 50, 75, 100]
  /// Texts of each length, and of each depth where there are depths; `nil` for 10.
  public var samples: Int?
  /// Seed of the texts.
  public var seed: UInt64 = 0

  /// The usual lengths and depths.
  public init() {}

  /// The task that a name among files of tasks means; `nil` for a file.
  static func task(named name: String) -> RecallTask? {
    Files.exists(name) ? nil : RecallTask(rawValue: name)
  }

  /// Refuses lengths in which nothing can be hidden, or that the model cannot read.
  func check(_ tasks: [RecallTask], positions: Int) throws(WorkflowError) {
    for task in tasks {
      let shortest = RecallText.shortest(task)
      if let wrong = lengths.first(where: { $0 < shortest || $0 > positions }) {
        throw WorkflowError(
          "task \(task.rawValue): a length of \(wrong) tokens; give lengths from \(shortest) to the model's \(positions) positions"
        )
      }
    }
    guard depths.allSatisfy({ (0...100).contains($0) }), !depths.isEmpty, !lengths.isEmpty else {
      throw WorkflowError("depths are hundredths of the text, from 0 to 100")
    }
  }

  /// The samples of a task, none of which occurs in text to train on.
  func file(_ task: RecallTask, tokenizer: Tokenizer) -> TaskFile {
    let text = RecallText(seed: seed)
    var counts = TokenCounter(tokenizer)
    var samples: [TaskSample] = []
    for length in lengths {
      for depth in task == .needle ? depths.map({ Double($0) / 100 }) : [nil] {
        for index in 0..<(self.samples ?? 10) {
          let messages = text.messages(
            task, index, length: length, depth: depth, split: .heldOut
          ) { counts.count($0) }
          samples.append(.recall(messages: messages, length: length, depth: depth))
        }
      }
    }
    return TaskFile(name: task.rawValue, form: .recall, samples: samples)
  }
}

/// Tokens of sentences, each counted once.
struct TokenCounter {
  private let tokenizer: Tokenizer
  private var known: [String: Int] = [:]

  init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

  mutating func count(_ text: String) -> Int {
    if let count = known[text] { return count }
    let count = tokenizer.encode(text, addSpecialTokens: false).count
    known[text] = count
    return count
  }
}
