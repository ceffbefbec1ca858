import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import Training

@Suite struct LocalAlignmentTests {
  /// A stage whose only loss is local.
  private func settings(steps: Int = 8) -> StageSettings {
    var settings = toySettings(steps: steps)
    settings.losses.crossEntropy = 0
    settings.losses.localAlignment = 1
    return settings
  }

  /// A mixture that has the teacher's weights outside its MLPs.
  private func student(of teacher: LanguageModel, in context: Context) throws -> LanguageModel {
    let student = try ToyModel.make(ToyModel.mixture(), seed: 2, in: context)
    let dense = Dictionary(uniqueKeysWithValues: teacher.parameters.map { ($0.name, $0.value) })
    for parameter in student.parameters {
      guard let value = dense[parameter.name] else { continue }
      parameter.value = context.tensor(context.read(value), value.shape)
    }
    return student
  }

  private func micro(_ context: Context, _ dtype: DType) throws -> MicroBatch {
    let batch = try ToyBatches().batch(step: 0, sequences: 0..<2)
    return MicroBatch(
      batch, lossTokens: 21, textTokens: 24, share: 0.5, dtype: dtype, in: context)
  }

  @Test(arguments: [false, true])
  func gradientsAgreeWithCentralDifferences(checkpointing: Bool) throws {
    let context = try makeContext()
    let teacher = try ToyModel.make(seed: 1, dtype: .f64, in: context)
    let student = try ToyModel.make(
      ToyModel.mixture(), attention: ToyModel.heads, seed: 2, dtype: .f64, in: context)
    let micro = try micro(context, .f64)
    var losses = settings().losses
    losses.loadBalance = 0.3
    losses.routerZ = 0.1
    let objective = Objective(losses)
    let error = gradientDisagreement(context, student.parameters, step: 1e-6) { context in
      objective(
        student, teacher: teacher, micro, checkpointing: checkpointing, in: context
      ).total
    }
    #expect(error < 1e-6)
  }

  /// What the term is by its definition, and that it pays no heed to what comes before a half.
  @Test func theTermIsTheMeanShareMissedByEachHalf() throws {
    let context = try makeContext()
    let teacher = try ToyModel.make(seed: 1, dtype: .f64, in: context)
    let student = try ToyModel.make(
      ToyModel.mixture(), attention: ToyModel.heads, seed: 2, dtype: .f64, in: context)
    let micro = try micro(context, .f64)
    let result = Objective(settings().losses)(
      student, teacher: teacher, micro, checkpointing: false, in: context)
    var (x_TD, shares) = (context.embedding(micro.tokens_T, weight: teacher.embedding.value), 0.0)
    for (own, other) in zip(student.blocks, teacher.blocks) {
      for part in [BlockPart.attention, .mlp] {
        let target = other.half(part, x_TD, layout: micro.layout, in: context).output
        let output = own.half(part, x_TD, layout: micro.layout, in: context).output
        let (x, y, z) = (
          context.readDoubles(x_TD), context.readDoubles(output), context.readDoubles(target)
        )
        let missed = zip(y, z).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        let energy = zip(z, x).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        shares += missed / energy / 4
        x_TD = target
      }
    }
    let term = try #require(result.terms.first { $0.name == "local_alignment" }?.value)
    #expect(abs(context.readScalar(term) - shares) < 1e-12 * shares)
    #expect(result.counts.map(\.layer) == [0, 0, 1, 1])
    #expect(result.counts.map(\.part) == [.attention, .mlp, .attention, .mlp])
  }

  /// What a half adds is compared, whatever it adds it to.
  @Test func residualConnectionsDoNotCount() throws {
    let context = try makeContext()
    let teacher = try ToyModel.make(seed: 1, dtype: .f64, in: context)
    let student = try ToyModel.make(ToyModel.mixture(), seed: 2, dtype: .f64, in: context)
    var configuration = student.configuration
    configuration.residual = .deepNorm(layers: 2)
    let other = try LanguageModel(
      configuration, parameters: student.parameters, in: context)
    let micro = try micro(context, .f64)
    func term(_ model: LanguageModel) -> Double {
      let result = Objective(settings().losses)(
        model, teacher: teacher, micro, checkpointing: false, in: context)
      return result.terms.first { $0.name == "local_alignment" }
        .map { context.readScalar($0.value) } ?? .nan
    }
    #expect(abs(term(student) - term(other)) < 1e-12)
  }

  @Test func alignedLayersMakeABetterModel() throws {
    let context = try makeContext()
    let teacher = try ToyModel.make(in: context)
    _ = try train(toySettings(steps: 60), teacher, in: context)
    let student = try student(of: teacher, in: context)
    let before = weights(student, in: context)
    let metrics = try train(settings(steps: 60), student, teacher: teacher, in: context)
    let (first, last) = (try #require(metrics.first), try #require(metrics.last))
    let (start, end) = (first.term("local_alignment") ?? 0, last.term("local_alignment") ?? 9)
    #expect(end < 0.5 * start, "\(start) to \(end)")
    // Cross-entropy is only watched, and falls all the same.
    let (loss, better) = (first.term("cross_entropy") ?? 0, last.term("cross_entropy") ?? 9)
    #expect(better < 0.6 * loss, "\(loss) to \(better)")
    #expect(last.domains.count == 2)
    for (name, values) in weights(student, in: context) {
      let moves = name.contains(".mlp.") || name.contains("post_attention")
      #expect((values != before[name]) == moves, "\(name)")
    }
  }

  /// Together with losses over the whole model the routing reported is that of the whole model.
  @Test func localAndWholeModelLossesAddUp() throws {
    let context = try makeContext()
    let teacher = try ToyModel.make(seed: 1, in: context)
    let student = try ToyModel.make(ToyModel.mixture(), seed: 2, in: context)
    var settings = settings(steps: 1)
    settings.losses.crossEntropy = 0.5
    settings.losses.distillation = 0.5
    settings.losses.loadBalance = 0
    let metrics = try #require(try train(settings, student, teacher: teacher, in: context).last)
    #expect(metrics.terms.map(\.name) == ["cross_entropy", "distillation", "local_alignment"])
    let total = zip(metrics.terms, [0.5, 0.5, 1]).reduce(0) { $0 + $1.0.value * $1.1 }
    #expect(abs(total - metrics.loss) < 1e-5)
    #expect(metrics.expertLoads.count == 2)
  }

  @Test func aKilledRunEndsWithTheSameBits() throws {
    struct Killed: Error {}
    let folder = TemporaryFolder()
    var settings = settings()
    settings.checkpointEvery = 3
    settings.microBatch = 2
    func run(stopAfter: Int?, stored: Bool) throws -> [String: [Float]] {
      let context = try makeContext()
      let teacher = try ToyModel.make(seed: 1, in: context)
      let student = try student(of: teacher, in: context)
      var hooks = TrainingHooks()
      hooks.onStep = { if $0.step == stopAfter { throw Killed() } }
      let store = CheckpointStore(folder: "\(folder.path)/checkpoint", settings: settings.json)
      _ = try Trainer(
        settings, model: student, teacher: teacher, batches: ToyBatches(),
        store: stored ? store : nil, hooks: hooks, in: context
      ).run()
      return weights(student, in: context)
    }
    #expect(throws: Killed.self) { try run(stopAfter: 5, stored: true) }
    #expect(try run(stopAfter: nil, stored: true) == run(stopAfter: nil, stored: false))
  }

  @Test func whatCannotBeAlignedIsRefused() throws {
    let context = try makeContext()
    let teacher = try ToyModel.make(in: context)
    var error = #expect(throws: TrainingError.self) {
      try train(settings(), ToyModel.make(seed: 2, in: context), teacher: teacher, in: context)
    }
    #expect(error?.description.contains("this model is built like it") == true)
    error = #expect(throws: TrainingError.self) {
      try train(settings(), ToyModel.make(ToyModel.mixture(), in: context), in: context)
    }
    #expect(error?.description.contains("need the dense model as teacher") == true)
    var elsewhere = settings()
    elsewhere.train = ["*.self_attn.*"]
    error = #expect(throws: TrainingError.self) {
      try train(
        elsewhere, ToyModel.make(ToyModel.mixture(), in: context), teacher: teacher, in: context)
    }
    #expect(error?.description.contains("do not depend on any parameter that trains") == true)
  }
}
