import Data
import Models
import Numerics

/// Trains a model through one stage.
///
/// A step is a function of the weights, the optimizer's state, the shares of the domains, the settings,
/// the seed of the batches and the step's number; a stage killed at any moment and run again from its
/// checkpoints therefore ends with the same bits as one that was left alone, at the same number of
/// threads.
public final class Trainer {
  private let settings: StageSettings
  private let model: LanguageModel
  private let teacher: LanguageModel?
  private var batches: any BatchSource
  private let weighting: DomainReweighting?
  private let group: any ProcessGroup
  private let store: CheckpointStore?
  private let hooks: TrainingHooks
  private let context: Context
  private let adaptation: LowRankAdaptation
  private let selection: ParameterSelection
  private let optimizer: any Optimizer
  private let objective: Objective
  private let balancing: SelectionBiasBalancing
  private let noise: RouterNoising
  /// What was drawn ahead: the draw of the step after the one last trained, or why it failed.
  private var ahead: (step: Int, draw: Result<Draw, any Error>)?

  /// This process's micro-batches of a step; the loss tokens and the tokens of text of the whole step.
  private typealias Draw = (passes: [Batch], lossTokens: Double, textTokens: Double)

  /// Prepares a stage; nothing is read or written yet. With ``StageSettings/lora`` the model has
  /// adapters from here on until ``run()`` has come to the end of the stage.
  ///
  /// - Parameters:
  ///   - model: The model to train, in `f32`, or with matrices in `bf16` where the stage says so;
  ///     its weights change in place.
  ///   - teacher: The dense model to learn from, where the losses need one; may be 16-bit.
  ///   - heldOut: What a stage with ``StageSettings/domainWeighting`` learns its shares from.
  ///   - store: Where checkpoints go; `nil` for none.
  ///   - seed: Of the random rounding of `bf16` weights, of what is random about routers and of the
  ///     adapters' first values.
  ///   - optimizer: The one that the stage's settings name unless given.
  /// - Throws: ``SettingsError`` for a pattern that matches nothing it could, ``TrainingError`` for a model or
  ///   teacher that does not fit the stage.
  public init(
    _ settings: StageSettings, model: LanguageModel, teacher: LanguageModel? = nil,
    batches: any BatchSource, heldOut: HeldOutLosses? = nil,
    group: any ProcessGroup = SingleProcess(),
    store: CheckpointStore? = nil, hooks: TrainingHooks = TrainingHooks(),
    seed: UInt64 = 0, optimizer: (any Optimizer)? = nil, in context: Context
  ) throws {
    self.settings = settings
    self.model = model
    self.teacher = teacher
    self.batches = batches
    self.group = group
    self.store = store
    self.hooks = hooks
    self.context = context
    self.optimizer = optimizer ?? settings.makeOptimizer(seed: seed)
    objective = Objective(settings.losses)
    balancing = SelectionBiasBalancing(rate: settings.losses.selectionBiasRate)
    noise = RouterNoising(
      size: settings.routerNoise, jitter: settings.routerJitter, seed: seed)
    adaptation = try LowRankAdaptation(settings, model: model, seed: seed, in: context)
    selection = try ParameterSelection(
      settings, model: model, adapters: adaptation.parameters, frozen: adaptation.frozen)
    weighting = try DomainReweighting(settings, batches: batches, losses: heldOut)
    try checkModels()
  }

  /// How a stage ended.
  public struct Summary: Sendable {
    /// Steps of the stage.
    public var steps: Int
    /// Steps that a checkpoint had already done; `nil` when the stage started afresh.
    public var resumedAt: Int?
    /// The metrics of the last step; `nil` when all steps were already done.
    public var last: StepMetrics?
    /// Steps done when a hook asked to stop before the end; `nil` for a stage that is complete.
    public var stoppedAt: Int?
  }

  /// Goes on from the newest checkpoint, or starts, and trains to the end of the stage.
  ///
  /// - Throws: ``TrainingError`` when settings differ from the checkpoint's, the loss is no longer
  ///   finite or a checkpoint cannot be written; whatever a hook throws.
  public func run() throws -> Summary {
    selection.apply(to: model)
    for parameter in teacher?.parameters ?? [] { parameter.isTrainable = false }
    let steps = settings.steps
    let resumedAt = try resume()
    var last: StepMetrics?
    for step in (resumedAt ?? 0)..<max(steps, resumedAt ?? 0) {
      let metrics = try train(step: step)
      let done = step + 1
      last = metrics
      try hooks.onStep(metrics)
      if settings.evaluateEvery > 0, done % settings.evaluateEvery == 0 {
        try hooks.onEvaluation(done, model)
      }
      try reweigh(after: done)
      let stops = done < steps && hooks.stopsEarly()
      if stops
        || (settings.checkpointEvery > 0
          && (done % settings.checkpointEvery == 0 || done == steps))
      {
        try save(done)
      }
      if stops {
        return Summary(steps: steps, resumedAt: resumedAt, last: last, stoppedAt: done)
      }
    }
    adaptation.merge(in: context)
    return Summary(steps: steps, resumedAt: resumedAt, last: last)
  }

  /// One optimizer step: forward and backward per micro-batch, clip, update, draw the next step's
  /// batches while the device works, then read.
  private func train(step: Int) throws -> StepMetrics {
    let start = ContinuousClock.now
    let (passes, lossTokens, textTokens) = try drawn(step: step)
    let tokens = settings.batchSequences * settings.sequenceLength
    let dtype = model.embedding.value.dtype == .f64 ? DType.f64 : .f32

    var record = StepRecord()
    defer { noise.clear(model) }
    let first = group.sequences(of: settings.batchSequences).lowerBound
    for (pass, batch) in passes.enumerated() {
      noise.set(model, step: step, sequence: first + pass * settings.microBatch)
      let share = Double(batch.tokens.count) / Double(tokens)
      let micro = MicroBatch(
        batch, lossTokens: lossTokens, textTokens: textTokens, share: share, dtype: dtype,
        in: context)
      var result: Objective.Result?
      let total = context.recording {
        let objective = objective(
          model, teacher: teacher, micro, checkpointing: settings.checkpointing, in: context)
        result = objective
        return objective.total
      }
      if let result { record.add(batch, share: share, result: result, total: total) }
    }

    let gradients = selection.entries.compactMap(\.parameter.gradient)
    guard !gradients.isEmpty else {
      throw TrainingError(
        "stage \(settings.name): the losses do not depend on any parameter that trains; let others train, or give another loss a weight"
      )
    }
    try group.allReduce(gradients, in: context)
    let norm = context.globalNorm(gradients)
    let scale = settings.clip > 0 ? context.clipFactor(norm: norm, maximum: settings.clip) : nil
    let factor = settings.schedule.factor(step: step, of: settings.steps)
    optimizer.step(
      step + 1, selection.entries, rateFactor: factor, gradientScale: scale, in: context)

    // A failure is the next step's: this one's results are still told. Shares that change in between
    // are not known yet.
    if step + 1 < settings.steps, weighting?.isDue(after: step + 1) != true {
      ahead = (step + 1, Result { try draw(step: step + 1) })
    }
    let sums = try record.read(
      domains: batches.domains.count, gradientNorm: norm, group: group, in: context)
    try checkFinite(sums.loss, sums.gradientNorm, step: step)
    balancing.update(model, loads: sums.expertLoads, in: context)
    return StepMetrics(
      stage: settings.name, step: step + 1, steps: settings.steps, loss: sums.loss,
      domains: sums.domainLosses(batches.domains), domainWeights: domainWeights,
      terms: sums.namedTerms,
      learningRate: settings.learningRate * factor, gradientNorm: sums.gradientNorm, tokens: tokens,
      tokensPerSecond: Double(tokens) / max((ContinuousClock.now - start).seconds, 1e-9),
      expertLoads: sums.expertLoads)
  }

  /// Gives the domains other shares where that is due.
  private func reweigh(after done: Int) throws {
    guard let weighting, done < settings.steps, weighting.isDue(after: done),
      let source = batches as? any ReweightableBatchSource
    else { return }
    let (reweighted, update) = try weighting.update(
      source, model: model, after: done, stage: settings.name, group: group)
    batches = reweighted
    try hooks.onWeights(update)
  }

  /// The shares by which domains are dealt out, where they change; files of one domain count together.
  private var domainWeights: [StepMetrics.DomainWeight] {
    guard weighting != nil, let source = batches as? any ReweightableBatchSource else { return [] }
    var result: [StepMetrics.DomainWeight] = []
    for (domain, weight) in zip(
      source.domains, DomainReweighting.normalized(source.shares.weights))
    {
      if let index = result.firstIndex(where: { $0.domain == domain }) {
        result[index].weight += weight
      } else {
        result.append(StepMetrics.DomainWeight(domain: domain, weight: weight))
      }
    }
    return result
  }

  /// The draw of a step: the one made ahead, or a fresh one.
  private func drawn(step: Int) throws -> Draw {
    defer { ahead = nil }
    if let ahead, ahead.step == step { return try ahead.draw.get() }
    return try draw(step: step)
  }

  private func draw(step: Int) throws -> Draw {
    let own = group.sequences(of: settings.batchSequences)
    let passes = try stride(from: own.lowerBound, to: own.upperBound, by: settings.microBatch).map {
      try batches.batch(
        step: step, sequences: $0..<min($0 + settings.microBatch, own.upperBound))
    }
    func sum(_ weights: KeyPath<Batch, [Float]>) -> Double {
      passes.reduce(0) { $1[keyPath: weights].reduce($0) { $0 + Double($1) } }
    }
    var counts = [sum(\.lossWeights), sum(\.followedMask)]
    try group.allReduce(&counts)
    return (passes, counts[0], counts[1])
  }

  // MARK: - Checkpoints

  /// Takes over the newest checkpoint's state. Returns the steps it had done.
  private func resume() throws -> Int? {
    guard let store, let saved = try store.newest(in: context) else { return nil }
    for parameter in model.parameters + adaptation.parameters {
      parameter.value = try saved.weight(of: parameter)
    }
    for entry in selection.entries {
      let tensors = try optimizer.stateLayout(of: entry.parameter).map {
        try saved.state($0, of: entry.parameter)
      }
      optimizer.restore(tensors, of: entry.parameter)
    }
    if weighting != nil, let source = batches as? any ReweightableBatchSource {
      batches = source.dealing(
        try saved.shares(domains: source.domains.count, in: context))
    }
    try hooks.onResume(saved.step)
    return saved.step
  }

  private func save(_ done: Int) throws {
    guard let store, group.rank == 0 else { return }
    try hooks.beforeCheckpoint()
    var state = TrainingState(step: done)
    for parameter in model.parameters + adaptation.parameters {
      state.add(parameter.value, .weight, of: parameter)
    }
    for entry in selection.entries {
      let tensors = optimizer.state(of: entry.parameter, in: context)
      for (layout, tensor) in zip(optimizer.stateLayout(of: entry.parameter), tensors) {
        state.add(tensor, .optimizer(layout.name), of: entry.parameter)
      }
    }
    if weighting != nil, let source = batches as? any ReweightableBatchSource {
      state.add(source.shares, in: context)
    }
    try store.save(state, in: context)
  }

  // MARK: - Checks

  private func checkModels() throws {
    for parameter in model.parameters where !parameter.value.dtype.isReal {
      let isMatrix = parameter.value.dtype == .bf16 && parameter.value.shape.count > 1
      guard isMatrix, settings.weights == .bf16 else {
        throw TrainingError(
          "stage \(settings.name): \(parameter.name) is \(parameter.value.dtype.rawValue); load the model to be trained as \(settings.weights.rawValue)"
        )
      }
    }
    guard settings.batchSequences >= group.size else {
      throw TrainingError(
        "stage \(settings.name): batch_sequences is \(settings.batchSequences) for \(group.size) processes; give each at least one sequence"
      )
    }
    guard settings.losses.needsTeacher else { return }
    guard let teacher else {
      throw TrainingError(
        "stage \(settings.name): losses.distillation, losses.hidden_alignment and losses.local_alignment need the dense model as teacher"
      )
    }
    let (own, other) = (model.configuration, teacher.configuration)
    guard own.vocabularySize == other.vocabularySize else {
      throw TrainingError(
        "stage \(settings.name): the teacher has a vocabulary of \(other.vocabularySize), the model one of \(own.vocabularySize); use the dense model it was made from"
      )
    }
    let (hidden, local) = (settings.losses.hiddenAlignment > 0, settings.losses.localAlignment > 0)
    guard
      !hidden && !local
        || (own.hiddenSize == other.hiddenSize && own.blocks.count == other.blocks.count)
    else {
      throw TrainingError(
        "stage \(settings.name): losses.\(hidden ? "hidden" : "local")_alignment needs a teacher with \(own.blocks.count) blocks of width \(own.hiddenSize), this one has \(other.blocks.count) of \(other.hiddenSize)"
      )
    }
    guard !local || !own.halves(differingFrom: other).isEmpty else {
      throw TrainingError(
        "stage \(settings.name): losses.local_alignment trains what differs from the teacher, and this model is built like it; convert it first, or leave the term out"
      )
    }
  }

  private func checkFinite(_ loss: Double, _ gradientNorm: Double, step: Int) throws {
    guard !loss.isFinite || !gradientNorm.isFinite else { return }
    throw TrainingError(
      "stage \(settings.name): loss \(loss) and gradient norm \(gradientNorm) at step \(step + 1); lower learning_rate or lengthen the warm-up, then start the stage anew"
    )
  }
}

extension Duration {
  /// The whole duration in seconds.
  fileprivate var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
