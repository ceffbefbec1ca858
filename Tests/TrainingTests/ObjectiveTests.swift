import Models
import Numerics
import Testing

@testable import Training

@Suite struct ObjectiveTests {
  @Test func aStudentEqualToItsTeacherHasNothingToLearn() throws {
    let context = try makeContext()
    let teacher = try ToyModel.make(in: context)
    let student = try ToyModel.make(in: context)
    var settings = toySettings(steps: 1)
    settings.losses.crossEntropy = 0
    settings.losses.distillation = 1
    settings.losses.hiddenAlignment = 1
    let metrics = try #require(try train(settings, student, teacher: teacher, in: context).last)
    #expect(abs(metrics.term("distillation") ?? 1) < 1e-6)
    #expect(abs(metrics.term("hidden_alignment") ?? 1) < 1e-9)
    #expect(metrics.gradientNorm < 1e-4)
    #expect((metrics.term("cross_entropy") ?? 0) > 2)
  }

  @Test func distillationAndAlignmentPullTheStudentToTheTeacher() throws {
    let context = try makeContext()
    let teacher = try ToyModel.make(seed: 1, in: context)
    let student = try ToyModel.make(ToyModel.mixture(), seed: 2, in: context)
    let before = weights(teacher, in: context)
    var settings = toySettings(steps: 50)
    settings.losses.crossEntropy = 0
    settings.losses.distillation = 1
    settings.losses.hiddenAlignment = 1
    let metrics = try train(settings, student, teacher: teacher, in: context)
    let (first, last) = (try #require(metrics.first), try #require(metrics.last))
    for term in ["distillation", "hidden_alignment"] {
      let (a, b) = (first.term(term) ?? 0, last.term(term) ?? .infinity)
      #expect(b < 0.6 * a, "\(term): \(a) to \(b)")
    }
    #expect(weights(teacher, in: context) == before)
  }

  /// The user's words carry no cross-entropy, but a teacher can be followed on them.
  @Test func distillationCanCoverTheWholeText() throws {
    let context = try makeContext()
    let teacher = try ToyModel.make(seed: 1, in: context)
    let student = try ToyModel.make(seed: 2, in: context)
    var batch = try ToyBatches().batch(step: 0, sequences: 0..<2)
    batch.lossWeights = batch.lossWeights.map { _ in 0 }
    batch.followedMask[3] = 0
    let micro = MicroBatch(
      batch, lossTokens: 0, textTokens: Double(batch.tokens.count - 1), share: 1, in: context)
    var losses = Losses()
    losses.distillation = 2
    losses.loadBalance = 0
    func total(_ over: Losses.DistilledTokens) -> (total: Double, divergence: [Double]) {
      losses.distillationOver = over
      let result = Objective(losses)(
        student, teacher: teacher, micro, checkpointing: false, in: context)
      return (
        context.readScalar(result.total), result.divergence_T.map(context.readDoubles) ?? []
      )
    }
    #expect(total(.loss).total == 0)
    var (whole, divergence) = total(.all)
    divergence.remove(at: 3)
    let mean = divergence.reduce(0, +) / Double(divergence.count)
    #expect(mean > 0.01 && abs(whole - 2 * mean) < 1e-5 * whole)
  }

  @Test func aTeacherIsAskedForAndMustFit() throws {
    let context = try makeContext()
    var settings = toySettings()
    settings.losses.distillation = 1
    let error = #expect(throws: TrainingError.self) {
      try train(settings, ToyModel.make(in: context), in: context)
    }
    #expect(error?.description.contains("need the dense model as teacher") == true)
  }

  /// The entropies of the first and the last step, averaged over layers.
  private func entropies(_ metrics: [StepMetrics]) throws -> (first: Double, last: Double) {
    func mean(_ step: StepMetrics) -> Double {
      step.expertLoads.reduce(0) { $0 + $1.normalizedEntropy } / Double(step.expertLoads.count)
    }
    return (mean(try #require(metrics.first)), mean(try #require(metrics.last)))
  }

  /// A model whose routers favour the first two experts for every token.
  private func skewedModel(selectionBias: Bool, in context: Context) throws -> LanguageModel {
    let mixture = MixtureConfiguration(
      experts: 4, topK: 2, expertWidth: 8, combination: .renormalizedSoftmax(scale: 2),
      routerBias: true, selectionBias: selectionBias)
    let model = try ToyModel.make(mixture, in: context)
    for parameter in model.parameters where parameter.name.hasSuffix("router.bias") {
      parameter.value = context.tensor([1.5, 1.2, -1, -1.5] as [Float], [4])
    }
    return model
  }

  @Test(arguments: [Losses.LayerReduction.sum, .mean])
  func theBalanceLossEvensTheLoad(over reduction: Losses.LayerReduction) throws {
    let context = try makeContext()
    let model = try skewedModel(selectionBias: false, in: context)
    var settings = toySettings(steps: 60)
    settings.train = ["*.router.*"]
    settings.learningRate = 5e-2
    settings.losses.loadBalance = 5
    settings.losses.balanceOver = reduction
    let metrics = try train(settings, model, in: context)
    let (first, last) = try entropies(metrics)
    #expect(first < 0.8 && last > 0.9, "\(first) to \(last)")
    let balanced = reduction == .sum ? 2.0 : 1.0
    let term = try #require(metrics.last?.term("load_balance"))
    #expect(abs(term - balanced) < 0.15 * balanced, "\(term)")
  }

  @Test func selectionBiasesEvenTheLoadWithoutGradients() throws {
    let context = try makeContext()
    let model = try skewedModel(selectionBias: true, in: context)
    var settings = toySettings(steps: 60)
    settings.train = ["lm_head.weight"]
    settings.losses.loadBalance = 0
    settings.losses.selectionBiasRate = 0.1
    let (first, last) = try entropies(train(settings, model, in: context))
    #expect(first < 0.8 && last > 0.9, "\(first) to \(last)")
  }
}
