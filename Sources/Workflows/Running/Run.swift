import Data
import ExpertConstruction
import Formats
import Numerics
import Training

/// A whole pipeline, from dense checkpoint to report; resumable at every point.
///
/// Each step writes a folder or a result and is then noted in `run.json`. Running again skips what is
/// noted, and a stage goes on from its newest resume state.
public struct Run {
  /// What to do.
  public let pipeline: Pipeline
  /// Where everything goes.
  public let output: String
  private let events: WorkflowEvents
  private let context: Context
  private let device: Device
  private let shared: SharedWork
  private let limit: TimeLimit?
  /// The run folder whose conversion this run starts from; `nil` to make its own.
  private let sharedConversion: String?

  /// A run of `pipeline` into the folder `output`.
  /// - Throws: `DeviceError` when the device cannot be used, ``WorkflowError`` for a path that
  ///   cannot be resolved.
  public init(
    _ pipeline: Pipeline, output: String? = nil, device: Device = .cpu(),
    events: WorkflowEvents = .init()
  ) throws {
    try pipeline.checkIsOneRun()
    try self.init(
      pipeline, output: output ?? "runs/\(pipeline.name)", device: device,
      context: Context(device: device), shared: SharedWork(), events: events)
  }

  /// A run that is one of several.
  ///
  /// - Parameters:
  ///   - context: Where to compute, on `device`.
  ///   - shared: What the runs have in common.
  ///   - limit: When to stop.
  ///   - conversion: The run folder whose conversion this run starts from; `nil` to make its own.
  init(
    _ pipeline: Pipeline, output: String, device: Device, context: Context, shared: SharedWork,
    limit: TimeLimit? = nil, conversion: String? = nil, events: WorkflowEvents
  ) throws {
    self.pipeline = pipeline
    self.output = output
    dense = try pipeline.model.map { try pipeline.resolve($0, run: output) } ?? "\(output)/initial"
    self.events = events
    self.device = device
    self.context = context
    self.shared = shared
    self.limit = limit
    sharedConversion = conversion
  }

  /// How a run ended.
  public struct Result: Sendable {
    /// The run folder.
    public let folder: String
    /// Whether an earlier run had finished everything.
    public let wasFinished: Bool
    /// Losses, rates and folders per step, as in `run.json`.
    public let steps: JSON
    /// What to print for people.
    public let text: String

    /// What to print for machines.
    public var json: JSON {
      ["folder": JSON(folder), "was_finished": JSON(wasFinished), "steps": steps]
    }
  }

  /// Does the training stages that are not done yet.
  ///
  /// - Parameters:
  ///   - stage: The last stage to do; `nil` for all.
  ///   - resume: Whether a run folder that is there is gone on with.
  public func train(through stage: String?, resume: Bool) throws -> Result {
    guard let last = stage ?? pipeline.stages.last?.name else {
      throw WorkflowError("\(pipeline.path): there are no stages to train")
    }
    guard resume || !Files.exists("\(output)/run.json") else {
      throw WorkflowError(
        "\(output): this run was started before; add --resume to go on, or give another --output")
    }
    return try execute(through: last)
  }

  /// Does whatever is not done yet.
  /// - Parameter stage: Stop after this training stage and its evaluation.
  @discardableResult
  public func execute(through stage: String? = nil) throws -> Result {
    var state = try RunState(folder: output, pipeline: pipeline.json)
    let steps = try plan(through: stage)
    for stage in pipeline.stages where state.result(of: "stage:\(stage.name)") == nil {
      try pipeline.checkWeights(of: stage, on: device)
    }
    if state.result(of: "convert") == nil { try checkConversion() }
    if state.result(of: "linearize") == nil { try checkLinearization() }
    if pipeline.stages.allSatisfy({ state.result(of: "stage:\($0.name)") == nil }) {
      try checkExport()
    }
    try checkData(state)
    try state.begin()
    // From here on nobody else changes the folder; what it holds may have changed until here.
    let lock = try FolderLock(output)
    defer { withExtendedLifetime(lock) {} }
    state = try RunState(folder: output, pipeline: pipeline.json)
    try state.removeLeftovers()
    let wasFinished = steps.allSatisfy { state.result(of: $0.name) != nil }
    for step in steps where state.result(of: step.name) == nil {
      guard limit?.fits(step.kind) ?? true else { throw TimeIsUp() }
      events.note(step.announcement)
      let start = ContinuousClock.now
      let result = try step.work(state)
      let seconds = (ContinuousClock.now - start).inSeconds
      if step.kind != "stage" { limit?.learn(step.kind, seconds: seconds) }
      try state.finish(step.name, result, seconds: seconds)
    }
    return Result(
      folder: output, wasFinished: wasFinished, steps: .object(state.steps),
      text: Self.text(output, wasFinished, RunTables(state, pipeline)))
  }

  private static func text(_ output: String, _ wasFinished: Bool, _ tables: RunTables) -> String {
    let end =
      wasFinished
      ? "\(output) was already finished; nothing to do" : "finished; everything is in \(output)"
    return [tables.text, end].filter { !$0.isEmpty }.joined(separator: "\n") + "\n"
  }

  /// A named piece of work.
  struct Step {
    let name: String
    let announcement: String
    let work: (RunState) throws -> JSON

    /// What it does, whatever it does it to.
    var kind: String { String(name.prefix { $0 != ":" }) }
  }

  /// The steps in order.
  private func plan(through last: String?) throws -> [Step] {
    var steps: [Step] = []
    if let settings = pipeline.synthesize { steps.append(synthesis(settings)) }
    if let settings = pipeline.initialize { steps.append(initialization(settings)) }
    if !startsFromNothing && pipeline.home == nil {
      steps += evaluation("dense", dense)
    }
    var (name, current) = ("dense", dense)
    func linearize(after isConverted: Bool) {
      guard let settings = pipeline.linearize, settings.followsConversion == isConverted else {
        return
      }
      steps.append(linearization(settings, from: current))
      (name, current) = ("linearized", "\(output)/linearized")
      steps += evaluation(name, current)
    }
    linearize(after: false)
    if let sharedConversion {
      current = "\(sharedConversion)/converted"
    } else if let settings = pipeline.convert {
      steps.append(conversion(settings, from: current))
      (name, current) = ("converted", "\(output)/converted")
      steps += evaluation(name, current)
    }
    linearize(after: true)
    for stage in pipeline.stages {
      steps.append(training(stage, from: current))
      name = stage.name
      current = "\(output)/\(stage.name)"
      steps += evaluation(stage.name, current)
      if stage.name == last { return steps }
    }
    if let last {
      throw WorkflowError("\(pipeline.path): there is no stage \"\(last)\"")
    }
    if let settings = pipeline.evaluate { steps += closerLook(settings, name, current) }
    for format in pipeline.export { steps.append(export(format, from: current)) }
    steps.append(report())
    return steps
  }

  /// The dense checkpoint the run starts from.
  private let dense: String

  /// Whether a new model is trained as it is: before training it has nothing to tell, and nothing to be
  /// compared with.
  private var startsFromNothing: Bool {
    pipeline.initialize != nil && pipeline.convert == nil && pipeline.linearize == nil
  }

  private func synthesis(_ settings: SynthesizeSettings) -> Step {
    Step(name: "synthesize", announcement: "writing generated text to \(output)/data") { _ in
      try discard("data")
      let tokenizer =
        try settings.recall.isEmpty || pipeline.model == nil
        ? nil : ModelFolder(dense).tokenizer()
      try Synthesis(settings: settings, seed: pipeline.seed)
        .write(to: "\(output)/data", counting: tokenizer)
      return ["records": JSON(settings.records), "held_out": JSON(settings.heldOut)]
    }
  }

  private func initialization(_ settings: InitializeSettings) -> Step {
    Step(name: "initialize", announcement: "making a new model in \(output)/initial") { _ in
      try discard("initial")
      let tokenizer = try tokenizerFiles(settings)
      try ModelInitialization(settings: settings, seed: pipeline.seed, tokenizer: tokenizer)
        .write(to: "\(output)/initial", in: context)
      return ["vocabulary": JSON(tokenizer.vocabularySize)]
    }
  }

  /// The tokenizer of a new model: another folder's, or one learned from the generated text.
  private func tokenizerFiles(_ settings: InitializeSettings) throws -> TokenizerFiles {
    if let folder = settings.tokenizer {
      return try TokenizerFiles(folder: pipeline.resolve(folder, run: output))
    }
    guard let synthesize = pipeline.synthesize else {
      throw WorkflowError(
        "\(pipeline.path): \"initialize\" needs \"synthesize\" or a \"tokenizer\"")
    }
    return TokenizerFiles(
      Synthesis(settings: synthesize, seed: pipeline.seed).tokenizer(),
      contextLength: settings.maximumPositions)
  }

  /// Refuses what cannot be converted or exported before anything is written. A dense model that
  /// this run makes itself is checked when it is there.
  private func checkConversion() throws { _ = try conversionPlan() }

  private func conversionPlan() throws -> ConversionPlan? {
    guard let settings = pipeline.convert, sharedConversion == nil,
      Files.exists(dense) || pipeline.model != nil
    else { return nil }
    var early = settings
    early.data = try settings.data.filter { !$0.hasPrefix("{run}") }
      .map { try pipeline.resolve($0, run: output) }
    return try ModelConversion(
      source: dense, output: "\(output)/converted", settings: early, seed: pipeline.seed
    ).plan()
  }

  /// Opens every data file that is not made by the run itself: better now than after a stage.
  private func checkData(_ state: RunState) throws {
    if state.result(of: "initialize") == nil, let folder = pipeline.initialize?.tokenizer,
      !folder.hasPrefix("{run}")
    {
      _ = try TokenizerFiles.tokenizer(of: pipeline.resolve(folder, run: output))
    }
    var files: [String] = []
    if state.result(of: "convert") == nil { files += pipeline.convert?.data ?? [] }
    if state.result(of: "linearize") == nil { files += pipeline.linearize?.data ?? [] }
    for stage in pipeline.stages where state.result(of: "stage:\(stage.name)") == nil {
      files += stage.data.map(\.file)
    }
    if state.result(of: "report") == nil { files += pipeline.evaluate?.data ?? [] }
    for file in files where !file.hasPrefix("{run}") {
      _ = try RecordReader(path: pipeline.resolve(file, run: output))
    }
    let tasks = state.result(of: "report") == nil ? pipeline.evaluate?.tasks ?? [] : []
    _ = try CheckpointEvaluation.tasks(
      tasks.filter { !$0.hasPrefix("{run}") && RecallTask(rawValue: $0) == nil }
        .map { try pipeline.resolve($0, run: output) },
      limit: 1)
  }

  /// Refuses what cannot become linear, or not be exported then, before anything is written; see
  /// ``checkConversion()``.
  private func checkLinearization() throws {
    guard let settings = pipeline.linearize, Files.exists(dense) || pipeline.model != nil else {
      return
    }
    let plan = try ModelLinearization(
      source: dense, output: "\(output)/linearized", settings: settings, seed: pipeline.seed
    ).plan()
    if pipeline.export.isEmpty { return }
    if let conversion = try conversionPlan() { return try PlannedExport.check(plan, conversion) }
    for format in pipeline.export {
      try PlannedExport.check(
        plan, to: ModelExport.target(format), isTrained: !pipeline.stages.isEmpty)
    }
  }

  /// Refuses formats that cannot hold a model which is trained as it is.
  private func checkExport() throws {
    guard !pipeline.export.isEmpty, pipeline.convert == nil, pipeline.linearize == nil else {
      return
    }
    let config: ConfigurationFile
    if let settings = pipeline.initialize {
      config = ConfigurationFile(
        path: pipeline.path, object: settings.config(vocabularySize: 1, asHerd: true))
    } else {
      let folder = try ModelFolder(dense, access: .pread)
      // Training saves it in herd's own format.
      config = try pipeline.stages.isEmpty ? folder.config : folder.savedFormat().config
      guard try config.string("model_type") == "herd" else {
        throw WorkflowError(
          "\(pipeline.path): \(dense) is a \(try config.string("model_type")) folder, which \"export\" to \(pipeline.export[0]) does not start from; add \"linearize\""
        )
      }
    }
    for format in pipeline.export {
      try PlannedExport.check(
        config, to: ModelExport.target(format), isTrained: !pipeline.stages.isEmpty)
    }
  }

  private func linearization(_ settings: LinearizeSettings, from source: String) -> Step {
    Step(
      name: "linearize", announcement: "making \(source) linear in \(output)/linearized"
    ) { _ in
      // Of a dense model that the run made itself only now all is known.
      if pipeline.initialize != nil { try checkLinearization() }
      var settings = settings
      settings.data = try settings.data.map { try pipeline.resolve($0, run: output) }
      return try ModelLinearization(
        source: source, output: "\(output)/linearized", settings: settings, seed: pipeline.seed,
        force: true, events: events
      ).execute(in: shared.fullPrecision(of: device)).json
    }
  }

  private func conversion(_ settings: ConvertSettings, from source: String) -> Step {
    Step(name: "convert", announcement: "converting \(source) into \(output)/converted") { _ in
      var settings = settings
      settings.data = try settings.data.map { try pipeline.resolve($0, run: output) }
      return try ModelConversion(
        source: source, output: "\(output)/converted", settings: settings, seed: pipeline.seed,
        force: true, events: events
      ).execute(in: shared.fullPrecision(of: device), shared: shared).json
    }
  }

  private func training(_ stage: StageSettings, from source: String) -> Step {
    Step(name: "stage:\(stage.name)", announcement: "training \(stage.name) from \(source)") { _ in
      try StageRun(
        settings: stage, pipeline: pipeline, run: output, source: source, dense: dense,
        events: events, context: context, shared: shared, limit: limit
      ).execute()
    }
  }

  private func evaluation(_ name: String, _ folder: String) -> [Step] {
    guard let settings = pipeline.evaluate else { return [] }
    let step = Step(name: "evaluate:\(name)", announcement: "evaluating \(name)") { _ in
      try RunEvaluation(
        settings: settings, pipeline: pipeline, run: output, checkpoint: folder,
        dense: folder == dense || startsFromNothing ? nil : dense, label: name, events: events,
        context: context,
        shared: shared
      ).execute()
    }
    return [step]
  }

  /// What is only looked at on the last model: how it routes and how fast it decodes.
  private func closerLook(
    _ settings: EvaluateSettings, _ name: String, _ folder: String
  ) -> [Step] {
    var steps: [Step] = []
    if settings.analysisWindows > 0, pipeline.convert != nil {
      steps.append(
        Step(name: "analyze:\(name)", announcement: "looking at the experts of \(name)") { state in
          try RunAnalysis(
            settings: settings, pipeline: pipeline, run: output, checkpoint: folder, model: name,
            context: context, shared: shared
          ).execute(state)
        })
    }
    if settings.decodeTokens > 0 {
      steps.append(
        Step(name: "measure:\(name)", announcement: "measuring the decoding of \(name)") { _ in
          try ModelMeasurement(folder: folder, dense: dense, decodeTokens: settings.decodeTokens)
            .json(in: context)
        })
    }
    return steps
  }

  private func export(_ format: String, from source: String) -> Step {
    let target = "\(output)/export/\(format)"
    return Step(name: "export:\(format)", announcement: "exporting to \(target)") { _ in
      try ModelExport(source: source, output: target, format: format, force: true, events: events)
        .execute()
    }
  }

  private func report() -> Step {
    Step(name: "report", announcement: "writing \(output)/report.html") { state in
      try RunReport(pipeline: pipeline, state: state, device: context.deviceDescription.json)
        .write()
      return [
        "html": JSON("\(output)/report.html"), "markdown": JSON("\(output)/report.md"),
        "device": context.deviceDescription.json,
      ]
    }
  }

  /// Removes what an interrupted step may have left under a name of the run folder.
  private func discard(_ name: String) throws {
    if Files.exists("\(output)/\(name)") { try Files.remove("\(output)/\(name)") }
  }
}
