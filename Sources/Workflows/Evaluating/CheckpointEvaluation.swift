import Data
import Evaluation
import Formats
import Models
import Numerics

/// Scores a checkpoint folder on data files.
public struct CheckpointEvaluation: Sendable {
  /// The checkpoint to score.
  public var checkpoint: String
  /// Data files; a domain is a file's name up to its first dot.
  public var data: [String]
  /// Which part of each domain is scored.
  public var settings: Evaluator.Settings
  /// A dense checkpoint to compare with.
  public var reference: String?
  /// A WikiText file for token and word perplexity.
  public var wikiText: String?
  /// Tokens per window of the WikiText file; `nil` for 2048 or as many as the model has positions.
  public var wikiTextWindow: Int?
  /// How many chat prompts per domain must be answered exactly; 0 for none.
  public var exactMatchPrompts = 0
  /// Files of evaluation tasks, see `TaskFile`, and names of tasks that need none, `RecallTask`.
  public var tasks: [String] = []
  /// The most samples of each task; `nil` for all.
  public var taskLimit: Int?
  /// Lengths and depths of the tasks that need no file.
  public var recall = RecallTaskSettings()
  /// Where to write every sample of the tasks as JSON Lines.
  public var samplesFile: String?
  /// Whether to tell how the layers would route if experts chose tokens.
  public var analysesExpertChoice = false
  /// Chat format by name, where the folder does not tell it.
  public var chatFormat: String?
  /// Where to compute.
  public var device = Device.cpu()

  /// The evaluation of `checkpoint` on `data` by the standard protocol.
  public init(checkpoint: String, data: [String], settings: Evaluator.Settings = .init()) {
    self.checkpoint = checkpoint
    self.data = data
    self.settings = settings
  }

  /// Everything that was asked for.
  public struct Result: Sendable {
    /// Scores per domain.
    public var scores = EvaluationResult(domains: [])
    /// WikiText perplexities, if asked for.
    public var wikiText: WikiTextScore?
    /// Exact match per domain, if asked for.
    public var exactMatch: [(domain: String, result: ExactMatch)] = []
    /// Tasks, in the order of their files.
    public var tasks: [TaskResult] = []
    /// How layers would route if experts chose tokens, per domain, if asked for.
    public var expertChoice: [(domain: String, layers: [ExpertChoice])] = []

    /// `{"domains": …, "mean": …}`, and what else was asked for.
    public var json: JSON {
      var object = scores.json.object ?? JSONObject()
      if let wikiText { object["wikitext"] = wikiText.json }
      if !exactMatch.isEmpty {
        var domains = JSONObject()
        for (domain, result) in exactMatch { domains[domain] = result.json }
        object["exact_match"] = .object(domains)
      }
      if !tasks.isEmpty {
        var results = JSONObject()
        for task in tasks { results[task.task] = task.json }
        object["tasks"] = .object(results)
      }
      if !expertChoice.isEmpty {
        var domains = JSONObject()
        for (domain, layers) in expertChoice { domains[domain] = layers.json }
        object["expert_choice"] = .object(domains)
      }
      return .object(object)
    }
  }

  /// Checks data and folders, then loads and scores.
  ///
  /// - Parameters:
  ///   - context: Where to compute, in place of ``device``.
  ///   - progress: Told what is being worked on and how far it is.
  public func run(
    in context: Context? = nil, progress: (Evaluator.Progress) -> Void = { _ in }
  ) throws -> Result {
    try run(in: context, shared: SharedWork(), progress: progress)
  }

  func run(
    in context: Context?, shared: SharedWork, progress: (Evaluator.Progress) -> Void
  ) throws -> Result {
    let folder = try ModelFolder(checkpoint)
    let referenceFolder = try reference.map { try ModelFolder($0) }
    let tokenizer = try folder.tokenizer()
    let format = try chatFormat(folder, tokenizer)
    let builder = try TokenStreamBuilder(tokenizer: tokenizer, format: format)
    // No window reaches further than this into a stream.
    let (needed, overflow) = settings.window.multipliedReportingOverflow(by: settings.windows)
    let limit = overflow || needed == .max ? Int.max : needed + 1
    let streams = try shared.once("\(data) \(limit)") {
      try builder.streams(files: data, tokenLimit: limit)
    }
    let prose = try wikiText.map { try text(of: $0) }
    let named = self.tasks.map { ($0, RecallTaskSettings.task(named: $0)) }
    try recall.check(named.compactMap(\.1), positions: folder.configuration.maximumPositions)
    let tasks =
      try Self.tasks(named.filter { $0.1 == nil }.map(\.0), limit: taskLimit)
      + named.compactMap(\.1).map { recall.file($0, tokenizer: tokenizer) }
    let samples = try samplesFile.map { try TextOutput($0, replaces: true) }
    let context = try context ?? Context(device: device)
    let model = try folder.loader.model(in: context)
    let evaluator = try Evaluator(
      model,
      against: referenceFolder.map { try shared.model($0.path, dtype: .f32, in: context) },
      settings: settings, in: context)
    var result = Result()
    result.scores = try evaluator.evaluate(streams, progress: progress)
    if analysesExpertChoice {
      result.expertChoice = streams.map { ($0.domain, evaluator.expertChoice($0)) }
    }
    result.wikiText = try prose.map {
      try evaluator.evaluateWikiText(
        $0, tokenizer: tokenizer, window: wikiTextWindow, progress: progress)
    }
    let stops = try folder.endTokens()
    for task in tasks {
      result.tasks.append(
        try evaluator.evaluate(
          task, tokenizer: tokenizer, stops: stops, renderer: builder.renderer, progress: progress))
    }
    try samples?.write(result.tasks.map(\.lines).joined())
    if exactMatchPrompts > 0 {
      let conversations = try conversations()
      guard let renderer = builder.renderer, !conversations.isEmpty else {
        throw WorkflowError(
          "\(data.joined(separator: ", ")): no conversation to ask for an exact answer; give chat data or leave --exact-match out"
        )
      }
      for (domain, conversations) in conversations {
        let answers = try ExactMatch(
          of: model, on: conversations, renderer: renderer, stops: stops, in: context
        ) { progress(.init(domain: "\(domain) answers", done: $0, total: $1)) }
        result.exactMatch.append((domain, answers))
      }
    }
    return result
  }

  /// The tasks of files, each under its own name.
  static func tasks(_ files: [String], limit: Int?) throws -> [TaskFile] {
    let tasks = try files.map { try TaskFile(path: $0, limit: limit) }
    for (index, task) in tasks.enumerated()
    where tasks[..<index].contains(where: { $0.name == task.name }) {
      throw WorkflowError(
        "\(files[index]): there are two tasks \"\(task.name)\"; a task is called as its file is up to the first dot, so rename one"
      )
    }
    return tasks
  }

  /// The chat format, or `nil` when no file can hold a conversation.
  private func chatFormat(_ folder: ModelFolder, _ tokenizer: Tokenizer) throws -> ChatFormat? {
    let isNeeded = (data + tasks).contains { !$0.hasSuffix(".txt") && !$0.hasSuffix(".txt.zst") }
    if chatFormat != nil { return try folder.chatFormat(named: chatFormat, tokenizer: tokenizer) }
    // Files of plain text records need no format; the builder names one that does.
    return isNeeded ? try? folder.chatFormat(tokenizer: tokenizer) : nil
  }

  private func text(of path: String) throws -> String {
    let reader = try RecordReader(path: path)
    guard case .text(let text)? = try reader.next(), try reader.next() == nil else {
      throw WorkflowError("\(path): WikiText is one text; give the .txt or .txt.zst file")
    }
    return text
  }

  /// The first conversations of each domain, as many as asked for.
  private func conversations() throws -> [(domain: String, conversations: [[Message]])] {
    var domains: [(domain: String, conversations: [[Message]])] = []
    for file in data {
      let domain = TokenStream.domain(of: file)
      let index = domains.firstIndex { $0.domain == domain } ?? domains.count
      if index == domains.count { domains.append((domain, [])) }
      let reader = try RecordReader(path: file)
      while domains[index].conversations.count < exactMatchPrompts,
        let record = try reader.next()
      {
        guard let messages = record.conversation, messages.count > 1,
          messages.last?.role == "assistant"
        else { continue }
        domains[index].conversations.append(messages)
      }
    }
    return domains.filter { !$0.conversations.isEmpty }
  }
}
