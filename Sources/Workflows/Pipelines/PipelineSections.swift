import Data
import Evaluation
import Formats

/// Chat text to generate, per domain, with answers that can be checked.
public struct SynthesizeSettings: Sendable, Equatable {
  /// Training records per domain.
  public var records: Int
  /// Held-out records per domain.
  public var heldOut: Int
  /// Size of the vocabulary when a tokenizer is made from the text.
  public var vocabulary: Int
  /// Texts of facts to be found again, by task.
  public var recall: [RecallTask: RecallSettings]

  /// Texts of one recall task.
  public struct RecallSettings: Sendable, Equatable {
    /// Training records.
    public var records: Int
    /// Tokens of a record, as the tokenizer of the pipeline's model counts them.
    public var length: Int
  }

  init(_ section: ConfigurationFile) throws {
    try section.refuseUnknownKeys(
      known: ["records", "held_out", "vocabulary"] + RecallTask.allCases.map(\.rawValue))
    var recall: [RecallTask: RecallSettings] = [:]
    for task in RecallTask.allCases {
      guard let own = try section.optionalSection(task.rawValue) else { continue }
      try own.refuseUnknownKeys(known: ["records", "length"])
      let length = try own.positive("length")
      guard length >= RecallText.shortest(task) else {
        throw ConfigurationError(
          path: own.path, key: "length", expected: "at least \(RecallText.shortest(task))",
          found: "\(length)")
      }
      recall[task] = RecallSettings(records: try own.positive("records"), length: length)
    }
    self.recall = recall
    // A pipeline with text of its own may ask for recall only.
    records = recall.isEmpty || section.contains("records") ? try section.positive("records") : 0
    heldOut = section.contains("held_out") ? try section.positive("held_out") : 200
    vocabulary = try section.integer("vocabulary", default: 1024)
    guard (300...65_536).contains(vocabulary) else {
      throw ConfigurationError(
        path: section.path, key: "vocabulary", expected: "from 300 to 65536", found: "\(vocabulary)"
      )
    }
  }
}

extension EvaluateSettings {
  /// The settings in the evaluation room's terms.
  var `protocol`: Evaluator.Settings {
    Evaluator.Settings(window: window, windows: windows, separatesDocuments: separatesDocuments)
  }
}

/// What a run measures on its models.
public struct EvaluateSettings: Sendable, Equatable {
  /// Held-out files; a domain is a file's name up to its first dot.
  public var data: [String]
  /// Tokens of a window.
  public var window: Int
  /// Windows per domain.
  public var windows: Int
  /// Whether each record attends to itself only (`sampling: documents`), or windows ignore record
  /// boundaries (`sampling: windows`).
  public var separatesDocuments: Bool
  /// Chat prompts per domain whose greedy answer is compared with the record's; 0 for none.
  public var exactMatch: Int
  /// Windows per domain on which the last model's routing is looked at in detail; 0 for none.
  public var analysisWindows: Int
  /// Tokens that are generated to measure the speed of decoding; 0 for none.
  public var decodeTokens: Int
  /// Files of evaluation tasks.
  public var tasks: [String]
  /// The most samples of each task; `nil` for all.
  public var taskLimit: Int?
  /// Lengths and depths of the tasks that need no file.
  public var recall = RecallTaskSettings()

  static let keys = [
    "data", "window", "windows", "sampling", "exact_match", "analysis_windows", "decode_tokens",
    "tasks", "task_limit", "lengths", "depths",
  ]

  init(_ section: ConfigurationFile) throws {
    try section.refuseUnknownKeys(known: Self.keys)
    tasks = try section.strings("tasks", default: [])
    taskLimit = section.contains("task_limit") ? try section.positive("task_limit") : nil
    recall.samples = taskLimit
    recall.lengths = try section.integers("lengths", default: recall.lengths)
    recall.depths = try section.integers("depths", default: recall.depths)
    data = try section.strings("data", default: [])
    window = section.contains("window") ? try section.positive("window") : 1024
    windows = section.contains("windows") ? try section.positive("windows") : 48
    let sampling = try section.string("sampling", default: "windows")
    guard ["windows", "documents"].contains(sampling) else {
      throw ConfigurationError(
        path: section.path, key: "sampling", expected: "windows or documents", found: sampling)
    }
    separatesDocuments = sampling == "documents"
    exactMatch = try section.integer("exact_match", default: 0)
    analysisWindows = try section.integer("analysis_windows", default: 8)
    decodeTokens = try section.integer("decode_tokens", default: 0)
    guard !data.isEmpty else {
      throw ConfigurationError(
        path: section.path, key: "data", expected: "at least one file", found: "none")
    }
    for (key, value) in [
      ("exact_match", exactMatch), ("analysis_windows", analysisWindows),
      ("decode_tokens", decodeTokens),
    ] where value < 0 {
      throw ConfigurationError(
        path: section.path, key: key, expected: "at least 0", found: "\(value)")
    }
  }
}
