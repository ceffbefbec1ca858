import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import Training

@Suite struct LowRankTests {
  private struct Killed: Error {}

  /// A model with attention experts, routed experts and shared neurons.
  private func model(_ dtype: DType = .f32, in context: Context) throws -> LanguageModel {
    var mixture = ToyModel.mixture()
    mixture.sharedWidth = 8
    return try ToyModel.make(mixture, attention: ToyModel.heads, dtype: dtype, in: context)
  }

  private func settings(
    _ targets: [String] = ["*.self_attn.?_proj.weight", "*.shared_expert.*"], rank: Int = 3
  ) -> StageSettings {
    var settings = toySettings(steps: 8)
    settings.lora = LowRankSettings(rank: rank, alpha: 6, targets: targets)
    settings.train = []
    return settings
  }

  /// Adapters of which `B` is no longer zero.
  private func adapted(
    _ model: LanguageModel, in context: Context
  ) throws -> LowRankAdaptation {
    let adaptation = try LowRankAdaptation(settings(), model: model, seed: 4, in: context)
    for (index, parameter) in adaptation.parameters.enumerated() {
      var random = RandomStream(seed: 9, purpose: UInt64(index))
      let values = random.uniform(parameter.value.count, in: -0.4...0.4)
      parameter.value = context.tensor(values, parameter.value.shape, parameter.value.dtype)
    }
    return adaptation
  }

  private func hidden(_ model: LanguageModel, in context: Context) -> Tensor {
    let tokens = (0..<9).map { Int32(($0 * 5) % ToyModel.vocabulary) }
    return model(
      context.tensor(tokens, [9]), layout: SequenceLayout(count: 9, in: context), in: context
    ).hidden_TD
  }

  // MARK: - The map

  @Test func gradientsAgreeWithCentralDifferences() throws {
    let context = try makeContext()
    let model = try model(.f64, in: context)
    let adaptation = try adapted(model, in: context)
    // Two layers of q, k, v, o and of three shared matrices.
    #expect(adaptation.projections.count == 14 && adaptation.parameters.count == 28)
    let error = gradientDisagreement(context, adaptation.parameters, directions: 2) { context in
      context.probe(hidden(model, in: context))
    }
    #expect(error < 1e-7, "\(error)")
    #expect(model.parameters.allSatisfy { $0.gradient == nil })
  }

  /// Maps of steps have adapters too; rates, of as many axes as a stack of experts, have none.
  @Test func linearLayersHaveAdapters() throws {
    let context = try makeContext()
    let model = try ToyModel.make(ToyModel.selective, dtype: .f64, in: context)
    let adaptation = try LowRankAdaptation(
      settings(["*.self_attn.*"], rank: 2), model: model, seed: 4, in: context)
    let names = adaptation.projections.map(\.weight.name)
    #expect(names.count == 9 && names.contains("model.layers.0.self_attn.step_proj.weight"))
    let error = gradientDisagreement(context, adaptation.parameters, directions: 2) { context in
      context.probe(hidden(model, in: context))
    }
    #expect(error < 1e-7, "\(error)")
    let refusal = #expect(throws: SettingsError.self) {
      try LowRankAdaptation(settings(["*.log_rate"]), model: model, seed: 4, in: context)
    }
    let message = "matches model.layers.0.self_attn.log_rate, which is no linear map"
    #expect(refusal?.description.contains(message) == true, "\(refusal?.description ?? "")")
  }

  /// `B` is zero at first; `A` is spread as PEFT spreads it.
  @Test func adaptersStartAsNothing() throws {
    let context = try makeContext()
    let model = try model(in: context)
    let before = context.read(hidden(model, in: context))
    let adaptation = try LowRankAdaptation(settings(), model: model, seed: 4, in: context)
    #expect(context.read(hidden(model, in: context)) == before)
    let first = try #require(adaptation.projections.first?.adapter)
    #expect(first.scale == 2)
    #expect(first.down.name == "model.layers.0.self_attn.q_proj.lora_A.weight")
    #expect(first.down.value.shape == [3, 16] && first.up.value.shape == [16, 3])
    let values = context.read(first.down.value)
    #expect(values.allSatisfy { $0.magnitude <= 0.25 } && values.contains { $0.magnitude > 0.18 })
    // A function of the seed.
    let (again, other) = try (
      LowRankAdaptation(settings(), model: model, seed: 4, in: context),
      LowRankAdaptation(settings(), model: model, seed: 5, in: context)
    )
    #expect(context.read(again.parameters[0].value) == values)
    #expect(context.read(other.parameters[0].value) != values)
    #expect(context.read(again.parameters[2].value) != values)
  }

  @Test(arguments: [(DType.f64, 1e-12), (.f32, 1e-5)])
  func mergedModelsComputeTheSame(dtype: DType, tolerance: Double) throws {
    let context = try makeContext()
    let model = try model(dtype, in: context)
    let plain = context.readDoubles(hidden(model, in: context))
    let adaptation = try adapted(model, in: context)
    let adapted = context.readDoubles(hidden(model, in: context))
    adaptation.merge(in: context)
    #expect(model.projections.allSatisfy { $0.adapter == nil })
    let merged = context.readDoubles(hidden(model, in: context))
    #expect(zip(adapted, merged).allSatisfy { abs($0 - $1) < tolerance })
    #expect(zip(plain, merged).contains { abs($0 - $1) > 0.01 })
  }

  // MARK: - A stage

  private func run(
    _ settings: StageSettings, folder: String? = nil, hooks: TrainingHooks = TrainingHooks(),
    watching: (LanguageModel, Context) -> Void = { _, _ in }
  ) throws -> (weights: [String: [Float]], losses: [Double]) {
    try withoutActuallyEscaping(watching) { watching in
      let context = try makeContext()
      let model = try model(in: context)
      var losses: [Double] = []
      var hooks = hooks
      let onStep = hooks.onStep
      hooks.onStep = {
        losses.append($0.loss)
        watching(model, context)
        try onStep($0)
      }
      _ = try Trainer(
        settings, model: model, batches: ToyBatches(),
        store: folder.map { CheckpointStore(folder: $0, settings: settings.json) }, hooks: hooks,
        seed: 3, in: context
      ).run()
      #expect(model.projections.allSatisfy { $0.adapter == nil })
      return (weights(model, in: context), losses)
    }
  }

  /// Targets stay as they are until the end and differ by the product then; all else is untouched but
  /// for what trains in full.
  @Test func onlyAdaptersAndWhatIsNamedTrain() throws {
    let context = try makeContext()
    let start = weights(try model(in: context), in: context)
    var settings = settings()
    settings.train = ["*.router.*", "*.self_attn.*"]
    settings.weightDecay = 0.1
    var products: [String: [Float]] = [:]
    let end = try run(settings) { model, context in
      for projection in model.projections {
        let name = projection.weight.name
        #expect(context.read(projection.weight.value) == start[name], "\(name)")
        guard let adapter = projection.adapter else { continue }
        let sum = context.tensor(start[name] ?? [], projection.weight.value.shape)
        let (up, down) = (context.read(adapter.up.value), context.read(adapter.down.value))
        let (rank, inputs) = (adapter.down.value.shape[0], adapter.down.value.shape[1])
        products[name] = context.read(sum).enumerated().map { index, value in
          let (row, column) = index.quotientAndRemainder(dividingBy: inputs)
          let product = (0..<rank).reduce(Float(0)) {
            $0 + up[row * rank + $1] * down[$1 * inputs + column]
          }
          return value + Float(adapter.scale) * product
        }
      }
    }
    #expect(products.count == 14)
    for (name, before) in start {
      let after = try #require(end.weights[name])
      if let product = products[name] {
        #expect(zip(after, product).allSatisfy { abs($0 - $1) < 1e-6 }, "\(name)")
        #expect(after != before, "\(name)")
      } else {
        #expect((after != before) == name.contains(".router."), "\(name)")
      }
    }
    #expect((end.losses.last ?? 9) < (end.losses.first ?? 0))
  }

  @Test(arguments: [1, 2, 3], [3, 7, 8])
  func aKilledRunEndsWithTheSameBits(checkpointEvery: Int, killedAfter: Int) throws {
    let folder = TemporaryFolder()
    var settings = settings()
    settings.train = ["*.router.*"]
    settings.microBatch = 2
    settings.checkpointEvery = checkpointEvery
    settings.checkpointing = checkpointEvery == 2
    var hooks = TrainingHooks()
    hooks.onStep = { if $0.step == killedAfter { throw Killed() } }
    #expect(throws: Killed.self) { try run(settings, folder: folder.path, hooks: hooks) }
    let end = try run(settings, folder: folder.path)
    #expect(try end.weights == run(settings).weights)
    // A stage killed after its last checkpoint is merged by whoever goes on.
    #expect(try run(settings, folder: folder.path).weights == end.weights)
  }

  /// Moments exist for adapters alone, in the checkpoint as in memory.
  @Test(arguments: [StageSettings.OptimizerKind.adamW, .adamW8Bit])
  func optimizerStateIsForAdaptersOnly(_ optimizer: StageSettings.OptimizerKind) throws {
    let folder = TemporaryFolder()
    var settings = settings()
    settings.optimizer = optimizer
    settings.checkpointEvery = 8
    _ = try run(settings, folder: folder.path)
    let names = try Checkpoint(folder: "\(folder.path)/step-8").tensors.map(\.name)
    let moments = names.filter { $0.hasPrefix("optimizer.") }
    #expect(moments.count == 2 * 28)
    #expect(moments.allSatisfy { $0.contains(".lora_A.") || $0.contains(".lora_B.") })
    #expect(names.count { $0.hasPrefix("weight.") && $0.contains(".lora_") } == 28)
  }

  @Test func memoryIsEstimatedForAdaptersOnly() {
    let shapes = ToyModel.configuration().parameterShapes
    let total = shapes.reduce(0) { $0 + $1.shape.reduce(1, *) }
    var settings = settings(["*.q_proj.weight"], rank: 2)
    func bytes(_ activations: DType) -> Int {
      settings.stateBytes(parameters: total, shapes: shapes, activations: activations)
    }
    let adapters = 2 * 2 * (16 + 16)
    #expect(bytes(.f32) == 4 * total + adapters * (4 + 4 + 8))
    #expect(bytes(.bf16) == 6 * total + adapters * (6 + 4 + 8))
    settings.train = ["model.norm.weight"]
    #expect(bytes(.f32) == 4 * total + adapters * 16 + 16 * 12)
    settings.lora = nil
    #expect(bytes(.f32) == 16 * total)
  }

  // MARK: - Refusals

  @Test(arguments: [
    (
      ["*.mlp.experts.up_proj"], 2,
      "stage toy: lora: target \"*.mlp.experts.up_proj\" matches model.layers.0.mlp.experts.up_proj: the experts of a layer are one stack"
    ),
    (["*"], 2, "target \"*\" matches model.layers.0.mlp.experts.gate_proj: the experts"),
    (
      ["*.router.weight"], 2,
      "target \"*.router.weight\" matches model.layers.0.self_attn.router.weight, which is no linear map"
    ),
    (["lm_head.weight"], 2, "matches lm_head.weight, which is no linear map"),
    (
      ["model.layers.0.self_attn.p_proj.weight"], 2,
      "matches no linear map of the model; did you mean model.layers.0.self_attn.q_proj.weight?"
    ),
    (["zzz"], 2, "and * stands for any text"),
    (
      ["*.q_proj.weight", "*.k_proj.weight"], 9,
      "lora: rank 9 exceeds that of model.layers.0.self_attn.k_proj.weight, 8 x 16; give at most 8"
    ),
  ])
  func whatCannotBeAdaptedIsRefused(targets: [String], rank: Int, message: String) throws {
    let context = try makeContext()
    let model = try model(in: context)
    let error = #expect(throws: SettingsError.self) {
      try Trainer(settings(targets, rank: rank), model: model, batches: ToyBatches(), in: context)
    }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
  }

  @Test func trainMayNotNameOnlyWhatLoRAFreezes() throws {
    let context = try makeContext()
    let model = try model(in: context)
    var settings = settings()
    settings.train = ["*.self_attn.q_proj.weight"]
    let adaptation = try LowRankAdaptation(settings, model: model, seed: 1, in: context)
    let error = #expect(throws: SettingsError.self) {
      try ParameterSelection(
        settings, model: model, adapters: adaptation.parameters, frozen: adaptation.frozen)
    }
    #expect(error.map { "\($0)" }?.contains("is a target of lora and frozen") == true)
    settings.train = ["*"]
    _ = try ParameterSelection(
      settings, model: model, adapters: adaptation.parameters, frozen: adaptation.frozen)
  }

  @Test func groupsReachAdapters() throws {
    let context = try makeContext()
    let model = try model(in: context)
    var settings = settings()
    settings.groups = [.init(pattern: "*.lora_B.*", learningRate: 0.5)]
    let adaptation = try LowRankAdaptation(settings, model: model, seed: 1, in: context)
    let entries = try ParameterSelection(
      settings, model: model, adapters: adaptation.parameters, frozen: adaptation.frozen
    ).entries
    #expect(entries.count == 28)
    #expect(entries.allSatisfy { ($0.learningRate == 0.5) == $0.parameter.name.contains("lora_B") })
  }
}
