import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import Training

@Suite struct AdamW8BitTests {
  private func settings(_ weights: StageSettings.WeightType, steps: Int) -> StageSettings {
    var settings = toySettings(steps: steps)
    settings.optimizer = .adamW8Bit
    settings.weights = weights
    settings.weightDecay = 0.1
    settings.losses.selectionBiasRate = 0.01
    return settings
  }

  private func model(_ weights: StageSettings.WeightType, _ context: Context) throws
    -> LanguageModel
  {
    try ToyModel.make(
      ToyModel.mixture(selectionBias: true), dtype: weights.dtype, in: context)
  }

  /// One process of a stage; all matrices are quantised, however small.
  private func process(
    _ settings: StageSettings, folder: String, killedAfter: Int? = nil, seed: UInt64 = 3
  ) throws -> [String: [Float]] {
    struct Killed: Error {}
    let context = try makeContext()
    let model = try model(settings.weights, context)
    var hooks = TrainingHooks()
    hooks.onStep = { if $0.step == killedAfter { throw Killed() } }
    do {
      _ = try Trainer(
        settings, model: model, batches: ToyBatches(),
        store: CheckpointStore(folder: folder, settings: settings.json), hooks: hooks,
        optimizer: AdamW8Bit(seed: seed, fewestElements: 1), in: context
      ).run()
    } catch is Killed {}
    return weights(model, in: context)
  }

  @Test(arguments: StageSettings.WeightType.allCases)
  func aKilledRunEndsWithTheSameBits(weights: StageSettings.WeightType) throws {
    let folder = TemporaryFolder()
    var settings = settings(weights, steps: 8)
    settings.microBatch = 2
    settings.checkpointEvery = 3
    let whole = try process(settings, folder: "\(folder.path)/whole")
    let killed = "\(folder.path)/killed"
    #expect(try process(settings, folder: killed, killedAfter: 4) != whole)
    let checkpoint = try Checkpoint(folder: "\(killed)/step-3")
    let experts = "model.layers.0.mlp.experts.up_proj"
    #expect(checkpoint["optimizer.moment1.codes.\(experts)"]?.elementType == .u8)
    #expect(checkpoint["optimizer.moment2.scales.\(experts)"]?.shape == [2])
    #expect(
      checkpoint["weight.\(experts)"]?.elementType == (weights == .bf16 ? .bf16 : .f32))
    #expect(checkpoint["optimizer.moment1.model.norm.weight"]?.elementType == .f32)
    #expect(try process(settings, folder: killed) == whole)
    // The seed decides random rounding, and nothing else.
    let other = try process(settings, folder: "\(folder.path)/other", seed: 4)
    #expect((other == whole) == (weights == .f32))
  }

  @Test func smallMatricesAndVectorsKeepFullMoments() throws {
    let context = try makeContext()
    let optimizer = AdamW8Bit()
    func names(_ shape: [Int], _ dtype: DType = .f32) -> [String] {
      optimizer.stateLayout(of: Parameter("p", context.zeros(shape, dtype))).map(\.name)
    }
    let codes = ["moment1.codes", "moment1.scales", "moment2.codes", "moment2.scales"]
    #expect(names([8192]) == ["moment1", "moment2"])
    #expect(names([63, 65]) == ["moment1", "moment2"])
    #expect(names([64, 64]) == codes)
    #expect(names([8, 8], .bf16) == codes)
  }

  @Test func sixteenBitWeightsAreRefusedUnlessAskedFor() throws {
    let context = try makeContext()
    let error = #expect(throws: TrainingError.self) {
      try Trainer(
        toySettings(), model: model(.bf16, context), batches: ToyBatches(), in: context)
    }
    #expect(error?.description.contains("load the model to be trained as f32") == true)
  }

  @Test func checkpointingChangesNothingWithSixteenBitWeights() throws {
    var results: [[String: [Float]]] = []
    for checkpointing in [false, true] {
      let context = try makeContext()
      let model = try model(.bf16, context)
      var settings = settings(.bf16, steps: 4)
      settings.checkpointing = checkpointing
      _ = try train(settings, model, in: context)
      results.append(weights(model, in: context))
    }
    #expect(results[0] == results[1])
  }

  @Test func gradientsOfSixteenBitWeightsAreGatheredInFull() throws {
    let context = try makeContext()
    let model = try model(.bf16, context)
    for parameter in model.parameters { parameter.isTrainable = true }
    let batch = try ToyBatches().batch(step: 0, sequences: 0..<2)
    context.recording {
      Objective(Losses())(
        model, teacher: nil,
        MicroBatch(batch, lossTokens: 10, textTokens: 10, share: 1, in: context),
        checkpointing: false, in: context
      ).total
    }
    let gradients = model.parameters.compactMap(\.gradient)
    #expect(gradients.count >= model.parameters.count - 2)
    #expect(gradients.allSatisfy { $0.dtype == .f32 })
  }

  /// The embedded model learns an unknown task at the pace of full moments and weights.
  @Test func lossesFollowThoseOfFullPrecision() throws {
    let path = PackageFolder.checkpoint
    let layout = try CheckpointLayouts.layout(
      for: ConfigurationFile(contentsOf: "\(path)/config.json"))
    let loader = try ModelLoader(layout: layout, checkpoint: Checkpoint(folder: path))
    func losses(
      _ optimizer: StageSettings.OptimizerKind, _ weights: StageSettings.WeightType
    ) throws -> [Double] {
      let context = try makeContext()
      var settings = toySettings(steps: 12)
      (settings.optimizer, settings.weights, settings.learningRate) = (optimizer, weights, 3e-4)
      let model = try loader.model(dtype: weights.dtype, in: context)
      return try train(settings, model, in: context).map(\.loss)
    }
    let full = try losses(.adamW, .f32)
    let fall = full[0] - full[11]
    #expect(fall > 4, "\(full)")
    for weights in StageSettings.WeightType.allCases {
      let small = try losses(.adamW8Bit, weights)
      let worst = zip(small, full).map { abs($0 - $1) }.max() ?? .infinity
      #expect(worst < 0.02 * fall, "\(weights): \(worst), \(small) for \(full)")
    }
  }

  /// To the end of a task on a mixture, with every matrix quantised.
  @Test func aToyTaskIsLearnedAsFarAsWithFullPrecision() throws {
    func end(_ optimizer: any Optimizer, _ weights: StageSettings.WeightType) throws -> Double {
      let context = try makeContext()
      var metrics: [StepMetrics] = []
      var hooks = TrainingHooks()
      hooks.onStep = { metrics.append($0) }
      _ = try Trainer(
        settings(weights, steps: 60), model: model(weights, context), batches: ToyBatches(),
        hooks: hooks, optimizer: optimizer, in: context
      ).run()
      return metrics.suffix(10).reduce(0) { $0 + $1.loss } / 10
    }
    let full = try end(AdamW(), .f32)
    #expect(full < 0.6)
    for weights in StageSettings.WeightType.allCases {
      let small = try end(AdamW8Bit(fewestElements: 1), weights)
      #expect(abs(small - full) < 0.15, "\(weights): \(small) for \(full)")
    }
  }
}
