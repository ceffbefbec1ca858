import Data
import Evaluation
import ExpertConstruction
import Formats
import Models
import Numerics
import Reports
import Training

/// One training stage of a run: from a checkpoint folder to a checkpoint folder.
struct StageRun {
  let settings: StageSettings
  let pipeline: Pipeline
  /// The run folder.
  let run: String
  /// The folder the stage starts from.
  let source: String
  /// The dense checkpoint, for losses that learn from it.
  let dense: String
  let events: WorkflowEvents
  let context: Context
  let shared: SharedWork
  let limit: TimeLimit?

  private var folder: String { "\(run)/\(settings.name)" }

  /// Trains, going on from the newest resume state, and writes `<run>/<stage>`.
  /// - Returns: Steps, tokens and the last loss.
  /// - Throws: `TimeIsUp` when the limit stopped it, with a checkpoint to go on from.
  func execute() throws -> JSON {
    let start = try ModelFolder(
      source, addingSelectionBias: settings.losses.selectionBiasRate > 0)
    let positions = start.configuration.maximumPositions
    guard settings.sequenceLength <= positions else {
      throw WorkflowError(
        "\(pipeline.path): stage \(settings.name): sequence_length \(settings.sequenceLength) exceeds the model's \(positions) positions; lower it"
      )
    }
    let tokenizer = try start.tokenizer()
    // Nothing of the teacher changes: where products are in 16 bits its matrices are too.
    let teacher =
      settings.losses.needsTeacher
      ? try denseModel() : nil
    let evaluator = try StageEvaluator(pipeline, run: run, start, tokenizer, context, shared)
    let heldOut = try heldOutLosses(evaluator, teacher)
    // What is noted of memory is this stage's.
    context.trim()
    let model = try start.loader.model(dtype: settings.weights.dtype, in: context)
    let sampler = try sampler(start, tokenizer)
    let log = try StageLog(path: "\(run)/run.jsonl", stage: settings.name)
    let store = CheckpointStore(
      folder: "\(folder)/checkpoint",
      settings: identity(
        sampler.streams, heldOut: heldOut == nil ? [] : evaluator?.streams ?? []),
      environment: environment, note: events.note)
    let trainer = try Trainer(
      settings, model: model, teacher: teacher, batches: sampler, heldOut: heldOut, store: store,
      hooks: hooks(log, evaluator: evaluator),
      seed: pipeline.seed ^ settings.name.stableHash, in: context)
    let summary = try trainer.run()
    guard summary.stoppedAt == nil else { throw TimeIsUp() }
    let memory = context.memory
    events.note(
      "\(settings.name): tensors took up to \(memory.peak >> 20) MiB, \(memory.fragments >> 20) MiB more were reserved then"
    )
    try write(model, from: start)
    return [
      "steps": JSON(summary.steps),
      "tokens": JSON(summary.steps * settings.sequenceLength * settings.batchSequences),
      "peak_memory_bytes": JSON(memory.peak), "fragment_bytes": JSON(memory.fragments),
      "loss": try (summary.last?.loss ?? log.lastLoss()).map { JSON($0) } ?? .null,
    ]
  }

  private func denseModel() throws -> LanguageModel {
    try shared.model(dense, dtype: context.activationType(for: .f32), in: context)
  }

  /// What the shares of the domains follow from; `nil` where they stay.
  /// - Parameter teacher: The dense model where it is there already.
  private func heldOutLosses(
    _ evaluator: StageEvaluator?, _ teacher: LanguageModel?
  ) throws -> HeldOutLosses? {
    guard let weighting = settings.domainWeighting, let evaluator else { return nil }
    let (domains, windows) = (settings.domains, weighting.windows)
    let reference: [Double]
    switch weighting.reference {
    case .losses(let losses): reference = losses
    case .teacher:
      reference = try evaluator.losses(
        of: teacher ?? denseModel(), on: domains, windows: windows)
      let list = zip(domains, reference).map { "\($0) \(Decimals.fixed($1, places: 3))" }
      events.note("\(settings.name): reference losses \(list.joined(separator: ", "))")
    }
    return HeldOutLosses(reference: reference) {
      try evaluator.losses(of: $0, on: domains, windows: windows)
    }
  }

  private func hooks(_ log: StageLog, evaluator: StageEvaluator?) -> TrainingHooks {
    var hooks = TrainingHooks()
    hooks.onResume = { [events, settings] step in
      events.note(
        "\(settings.name): going on at step \(min(step + 1, settings.steps)) of \(settings.steps)")
      try log.rewind(after: step)
    }
    // The first step also prepares kernels.
    var isPrepared = false
    hooks.onStep = { [events, settings, limit] metrics in
      if isPrepared {
        limit?.learn(
          "training step", seconds: Double(metrics.tokens) / max(1, metrics.tokensPerSecond))
      }
      isPrepared = true
      // A stage that starts afresh leaves no lines of an attempt that was killed before its first
      // checkpoint.
      if metrics.step == 1 { try log.rewind(after: 0) }
      try log.append(metrics.json)
      events.progress(
        WorkflowProgress(
          settings.name, done: metrics.step, total: metrics.steps,
          detail:
            "loss \(Decimals.fixed(metrics.loss, places: 3)), \(Int(metrics.tokensPerSecond)) tokens/s"
        ))
    }
    hooks.onWeights = { [events] update in
      try log.append(update.json)
      let list = update.entries.map { "\($0.domain) \(Decimals.fixed($0.weight, places: 3))" }
      events.note("\(update.stage): shares \(list.joined(separator: ", "))")
    }
    hooks.stopsEarly = { [limit] in limit.map { !$0.fits("training step") } ?? false }
    hooks.beforeCheckpoint = { try log.synchronize() }
    hooks.onEvaluation = { [settings] step, model in
      guard let scores = try evaluator?.scores(of: model) else { return }
      try log.append([
        "event": "evaluation", "stage": JSON(settings.name), "step": JSON(step),
        "scores": scores.json,
      ])
    }
    return hooks
  }

  /// Everything that must not change between the two halves of an interrupted stage.
  ///
  /// - Parameter heldOut: Text that decides what is trained on.
  private func identity(_ streams: [TokenStream], heldOut: [TokenStream]) -> JSONObject {
    [
      "stage": .object(settings.json), "seed": JSON("\(pipeline.seed)"),
      "source": JSON(sourceName), "data": .array(streams.map { JSON($0.fingerprint) }),
      "held_out": .array(heldOut.map { JSON($0.fingerprint) }),
    ]
  }

  /// What changes the last bits of a step, and nothing else.
  private var environment: JSONObject {
    context.deviceDescription.json.object ?? JSONObject()
  }

  /// The source as the pipeline calls it: the same when the run folder is moved, or named from
  /// another working folder.
  private var sourceName: String {
    if source.hasPrefix("\(run)/") { return "{run}" + source.dropFirst(run.count) }
    return source == dense ? pipeline.model ?? source : "../" + source.lastComponents(2)
  }

  private func sampler(_ start: ModelFolder, _ tokenizer: Tokenizer) throws -> TrainingSampler {
    let text = StageText(
      folder: start.path, tokenizer: tokenizer, pipeline: pipeline, run: run, shared: shared,
      note: events.note)
    let streams = try settings.data.map { source in
      (stream: try text.stream(source, stage: settings.name), weight: source.weight)
    }
    return try TrainingSampler(
      streams, mode: settings.sampling == .windows ? .windows : .documents,
      sequenceLength: settings.sequenceLength, batchSize: settings.batchSequences,
      seed: pipeline.seed ^ settings.name.stableHash)
  }

  /// Writes the trained model; `config.json` comes last, so a folder that has one is complete.
  private func write(_ model: LanguageModel, from start: ModelFolder) throws {
    // A stage without resume checkpoints has made no folder yet.
    try Files.createFolder(folder)
    for name in try Files.names(inFolder: folder) where name != "checkpoint" {
      try Files.remove("\(folder)/\(name)")
    }
    let elementType: ElementType = settings.saveType == .bf16 ? .bf16 : .f32
    let (layout, saved) = try start.savedFormat()
    try ModelWriter(layout: layout).write(
      model, to: folder, elementType: elementType, in: context)
    try CompanionFiles.copy(from: start.path, to: folder)
    let card = ModelCard(
      title: "\(pipeline.name), \(settings.name)",
      facts: [
        ("Trained from", sourceName), ("Tokens", "\(settings.tokens)"),
        ("Seed", "\(pipeline.seed)"),
      ])
    try Files.write(card.markdown, to: "\(folder)/README.md")
    var config = saved
    config["torch_dtype"] = JSON(elementType == .bf16 ? "bfloat16" : "float32")
    config["dtype"] = nil
    try config.write(to: "\(folder)/config.json")
  }
}

extension String {
  /// The last `count` components of a path.
  func lastComponents(_ count: Int) -> String {
    split(separator: "/").suffix(count).joined(separator: "/")
  }

  /// A hash that is the same in every process (FNV-1a).
  var stableHash: UInt64 {
    utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }
}
