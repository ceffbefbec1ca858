import Data
import Evaluation
import ExpertConstruction
import Formats
import Models
import Numerics
import Training

/// Measures how much each layer's softmax matters: all layers are made linear and aligned with the
/// softmax ones, then each takes the place of its softmax one alone.
struct LayerMeasurement {
  private let folder: ModelFolder
  private let plan: LinearizationPlan
  private let settings: LinearizeSettings
  private let seed: UInt64
  private let events: WorkflowEvents

  /// Tokens of a sequence, of alignment and of text.
  private static let sequence = 512
  /// Windows of text per file.
  private static let windows = 8

  init(
    _ folder: ModelFolder, _ plan: LinearizationPlan, settings: LinearizeSettings, seed: UInt64,
    events: WorkflowEvents
  ) {
    self.folder = folder
    self.plan = plan
    self.settings = settings
    self.seed = seed
    self.events = events
  }

  func run(in context: Context) throws -> LayerImportance {
    let tokenizer = try folder.tokenizer()
    let positions = folder.configuration.maximumPositions
    let length = min(Self.sequence, positions)
    let builder = try TokenStreamBuilder(
      tokenizer: tokenizer, format: folder.chatFormat(tokenizer: tokenizer))
    guard let file = try questions(tokenizer, builder.renderer, length) else {
      throw WorkflowError(
        "\(folder.path): texts of \(length) tokens are too short for this tokenizer to measure recall over; name the layers with --keep-softmax 0,7"
      )
    }
    let measured = Self.windows * length + 1
    let limit = settings.alignmentTokens + measured + length
    let streams = try builder.streams(files: settings.data, tokenLimit: limit)
    // Layers are measured on text they were not aligned on, where there is so much.
    let rest = streams.map { stream in
      if stream.ids.count > measured + length { return stream.dropping(measured) }
      events.note(
        "\(stream.domain): \(stream.ids.count) tokens are few; layers are measured on what they are aligned on"
      )
      return stream
    }
    let softmax = try folder.loader.model(in: context)
    let linear = try linearModel(in: context)
    if settings.alignmentTokens > 0 { try align(linear, softmax, rest, length, in: context) }
    var layers: [LayerImportance.Layer] = []
    for layer in softmax.blocks.indices {
      let evaluator = try Evaluator(
        try mixed(softmax, linear, layer, in: context),
        settings: .init(window: length, windows: Self.windows), in: context)
      let answers = try evaluator.evaluate(file, tokenizer: tokenizer, renderer: builder.renderer)
      guard let recallLoss = answers["answer_loss"] else {
        throw WorkflowError("layer \(layer): no loss of recalled answers was measured")
      }
      layers.append(
        .init(recallLoss: recallLoss, textLoss: try evaluator.evaluate(streams).mean))
      events.progress(
        WorkflowProgress("measure layers", done: layer + 1, total: softmax.blocks.count))
    }
    return LayerImportance(layers: layers, count: plan.kept.count)
  }

  /// Facts to be found again in texts of `length` tokens: several where so many fit, else one; `nil` where
  /// none does.
  private func questions(
    _ tokenizer: Tokenizer, _ renderer: ChatRenderer?, _ length: Int
  ) throws -> TaskFile? {
    var recall = RecallTaskSettings()
    (recall.lengths, recall.seed) = ([length], seed)
    for task in [RecallTask.recall, .needle] where length >= RecallText.shortest(task) {
      let file = recall.file(task, tokenizer: tokenizer)
      let fits = try file.samples.allSatisfy { sample in
        guard case .recall(let messages, _, _) = sample, let renderer else { return false }
        return try renderer.render(messages).ids.count <= length
      }
      if fits { return file }
    }
    return nil
  }

  /// The model with every layer linear.
  private func linearModel(in context: Context) throws -> LanguageModel {
    var all = plan.settings
    all.kept = .none
    let plan = try LinearizationPlan(
      configuration: folder.config, checkpoint: folder.checkpoint, all)
    let scratch = try ScratchFolder("linearize")
    _ = try Linearization(plan, checkpoint: folder.checkpoint).run(to: "\(scratch.path)/linear")
    return try ModelFolder("\(scratch.path)/linear", access: .pread).loader.model(in: context)
  }

  /// Trains the linear layers, each on what the softmax one was given.
  private func align(
    _ linear: LanguageModel, _ softmax: LanguageModel, _ streams: [TokenStream], _ length: Int,
    in context: Context
  ) throws {
    var stage = StageSettings(
      name: "alignment", data: [], tokens: settings.alignmentTokens)
    stage.sequenceLength = length
    (stage.batchSequences, stage.microBatch) = (4, 4)
    stage.sampling = .windows
    stage.train = ["*.self_attn.*"]
    stage.schedule = Schedule(kind: .cosine, warmupSteps: 2, finalFraction: 0.1)
    stage.losses.crossEntropy = 0
    stage.losses.localAlignment = 1
    stage.losses.loadBalance = 0
    stage.checkpointEvery = 0
    let sampler = try TrainingSampler(
      streams.map { ($0, 1) }, mode: .windows, sequenceLength: length,
      batchSize: stage.batchSequences, seed: seed)
    var hooks = TrainingHooks()
    hooks.onStep = { [events] metrics in
      events.progress(
        WorkflowProgress("align layers", done: metrics.step, total: metrics.steps))
    }
    _ = try Trainer(
      stage, model: linear, teacher: softmax, batches: sampler, hooks: hooks, seed: seed,
      in: context
    ).run()
  }

  /// The softmax model with the mixer of `layer` from the linear one.
  private func mixed(
    _ softmax: LanguageModel, _ linear: LanguageModel, _ layer: Int, in context: Context
  ) throws -> LanguageModel {
    var configuration = softmax.configuration
    configuration.blocks[layer].mixer = linear.configuration.blocks[layer].mixer
    let prefix = "\(ParameterName.block(layer)).self_attn."
    let parameters =
      softmax.parameters.filter { !$0.name.hasPrefix(prefix) }
      + linear.parameters.filter { $0.name.hasPrefix(prefix) }
    return try LanguageModel(configuration, parameters: parameters, in: context)
  }
}
