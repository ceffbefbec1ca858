import Data
import Glibc
import Models
import Numerics
import TestSupport
import Testing

@testable import Training

@Suite struct DomainWeightingTests {
  private struct Killed: Error {}

  /// Records that count by `stride`.
  private static func stream(_ domain: String, stride: Int) -> TokenStream {
    var stream = TokenStream(domain: domain)
    for record in 0..<20 {
      let ids = (0..<7 + record % 5).map { Int32((record + $0 * stride) % ToyModel.vocabulary) }
      stream.append(ids: ids, lossMask: ids.map { _ in 1 })
    }
    return stream
  }

  private func batches(_ weights: [Double] = [1, 1]) throws -> TrainingSampler {
    let domains = [("ones", 1), ("threes", 3), ("fives", 5)]
    return try TrainingSampler(
      zip(domains, weights).map { (Self.stream($0.0, stride: $0.1), $1) }, mode: .documents,
      sequenceLength: 12, batchSize: 4, seed: 3)
  }

  private func settings(every: Int = 3) -> StageSettings {
    var settings = toySettings(steps: 10)
    settings.microBatch = 2
    settings.domainWeighting = DomainWeighting(every: every, reference: .losses([1, 1]))
    return settings
  }

  // MARK: - The rule

  @Test func sharesGrowByTheExponentialOfTheExcess() {
    let weights = DomainReweighting.updated([0.2, 0.3, 0.5], losses: [2, 0.5, 1.25], [1, 1, 1])
    let parts = [0.2 * exp(1.0), 0.3, 0.5 * exp(0.25)]
    for (weight, part) in zip(weights, parts) {
      #expect(abs(weight - part / parts.reduce(0, +)) < 1e-15)
    }
    // Below the reference nothing moves, and units do not matter.
    #expect(DomainReweighting.updated([3, 1], losses: [0.5, 0.1], [1, 1]) == [0.75, 0.25])
  }

  @Test func hugeLossesLeaveEveryDomainAShare() {
    let weights = DomainReweighting.updated([1, 1, 1e300], losses: [5000, 9000, 1], [1, 1, 1])
    #expect(weights.allSatisfy { $0 > 0.5 / 1024 && $0 < 1 })
    #expect(abs(weights.reduce(0, +) - 1) < 1e-15 && weights[1] > 0.99)
    // And it can come back.
    var shares = weights
    for _ in 0..<40 { shares = DomainReweighting.updated(shares, losses: [2, 1, 1], [1, 1, 1]) }
    #expect(shares[0] > 0.99)
  }

  // MARK: - A stage

  /// Losses that depend on the weights, so that a wrong state would show.
  private func heldOut(_ context: Context, scale: Double = 1) -> HeldOutLosses {
    HeldOutLosses(reference: [1, 1]) { model in
      let values = context.readDoubles(model.finalNorm.value)
      return [1 + scale * values[0].magnitude, 1 + scale * values[1].magnitude / 2]
    }
  }

  private func run(
    _ settings: StageSettings, hooks: TrainingHooks = TrainingHooks(), folder: String? = nil
  ) throws -> (weights: [String: [Float]], metrics: [StepMetrics], resumedAt: Int?) {
    let context = try makeContext()
    let model = try ToyModel.make(ToyModel.mixture(), in: context)
    var metrics: [StepMetrics] = []
    var hooks = hooks
    let onStep = hooks.onStep
    hooks.onStep = {
      metrics.append($0)
      try onStep($0)
    }
    let summary = try Trainer(
      settings, model: model, batches: batches(), heldOut: heldOut(context),
      store: folder.map { CheckpointStore(folder: $0, settings: settings.json) }, hooks: hooks,
      in: context
    ).run()
    return (weights(model, in: context), metrics, summary.resumedAt)
  }

  @Test func sharesMoveEveryFewStepsAndAreLogged() throws {
    var updates: [WeightUpdate] = []
    var hooks = TrainingHooks()
    hooks.onWeights = { updates.append($0) }
    let metrics = try run(settings(), hooks: hooks).metrics
    #expect(updates.map(\.step) == [3, 6, 9])
    var shares = [0.5, 0.5]
    for metric in metrics {
      if let update = updates.first(where: { $0.step == metric.step - 1 }) {
        let losses = update.entries.map(\.loss)
        shares = DomainReweighting.updated(shares, losses: losses, [1, 1])
        #expect(update.entries.map(\.weight) == shares)
        #expect(update.entries.map(\.domain) == ["ones", "threes"])
      }
      #expect(metric.domainWeights.map(\.weight) == shares)
      #expect(metric.domainWeights.map(\.domain) == ["ones", "threes"])
      #expect(metric.json["domain_weights"]?["ones"]?.double == shares[0])
    }
    // About half an exponent of difference each time.
    #expect(shares[0] > 0.75 && shares[0] < 0.95)
    // The batches have the logged shares.
    let last = try batches().reweighted(shares, fromStep: 0)
    let drawn = (0..<256).flatMap { last.batch(step: $0).domains }
    #expect(abs(Double(drawn.count { $0 == 0 }) / 1024 - shares[0]) < 2e-3)
  }

  @Test func whatDoesNotChangeIsNotLogged() throws {
    var plain = settings()
    plain.domainWeighting = nil
    let metrics = try run(plain).metrics
    #expect(metrics.allSatisfy { $0.domainWeights.isEmpty && $0.json["domain_weights"] == nil })
    // An update that comes after the last step is none.
    #expect(try run(settings(every: 10)).weights == run(plain).weights)
    #expect(try run(settings()).weights != run(plain).weights)
  }

  /// Files of one domain keep their proportion and count together.
  @Test func filesOfOneDomainCountTogether() throws {
    let context = try makeContext()
    let sampler = try TrainingSampler(
      [
        (Self.stream("ones", stride: 1), 3), (Self.stream("ones", stride: 2), 1),
        (Self.stream("threes", stride: 3), 4),
      ], mode: .windows, sequenceLength: 12, batchSize: 4, seed: 3)
    var settings = settings()
    settings.domainWeighting?.reference = .losses([1, 1, 1])
    var metrics: [StepMetrics] = []
    var hooks = TrainingHooks()
    hooks.onStep = { metrics.append($0) }
    _ = try Trainer(
      settings, model: ToyModel.make(ToyModel.mixture(), in: context), batches: sampler,
      heldOut: HeldOutLosses(reference: [1, 1, 1]) { _ in [1.5, 1.5, 1] }, hooks: hooks, in: context
    ).run()
    let ones = metrics.map { $0.domainWeights.first?.weight ?? 0 }
    #expect(metrics.allSatisfy { $0.domainWeights.map(\.domain) == ["ones", "threes"] })
    #expect(ones[0] == 0.5 && abs(ones[3] - exp(0.5) / (exp(0.5) + 1)) < 1e-12)
  }

  // MARK: - Resuming

  /// Checkpoints before, at and after an update.
  @Test(arguments: [1, 3, 4], [4, 6, 7, 10])
  func aKilledRunEndsWithTheSameBits(checkpointEvery: Int, killedAfter: Int) throws {
    let folder = TemporaryFolder()
    var settings = settings()
    settings.checkpointEvery = checkpointEvery
    let whole = try run(settings)
    var hooks = TrainingHooks()
    hooks.onStep = { if $0.step == killedAfter { throw Killed() } }
    #expect(throws: Killed.self) { try run(settings, hooks: hooks, folder: folder.path) }
    let end = try run(settings, folder: folder.path)
    let expected = (killedAfter - 1) / checkpointEvery * checkpointEvery
    #expect(end.resumedAt ?? 0 == expected)
    #expect(end.weights == whole.weights)
    let rest = whole.metrics.dropFirst(expected)
    #expect(end.metrics.map(\.domainWeights) == rest.map(\.domainWeights))
    #expect(end.metrics.map(\.loss) == rest.map(\.loss))
  }

  /// A kill while the held-out losses are measured.
  @Test func aRunKilledInTheUpdateEndsWithTheSameBits() throws {
    let folder = TemporaryFolder()
    var settings = settings()
    settings.checkpointEvery = 2
    var hooks = TrainingHooks()
    hooks.onWeights = { if $0.step == 6 { throw Killed() } }
    #expect(throws: Killed.self) { try run(settings, hooks: hooks, folder: folder.path) }
    let end = try run(settings, folder: folder.path)
    #expect(end.resumedAt == 4)
    #expect(try end.weights == run(settings).weights)
  }

  // MARK: - Refusals

  @Test func whatCannotWorkIsRefused() throws {
    let context = try makeContext()
    func problem(
      _ batches: any BatchSource, _ losses: HeldOutLosses?
    ) throws -> String {
      let model = try ToyModel.make(in: context)
      do {
        _ = try Trainer(settings(), model: model, batches: batches, heldOut: losses, in: context)
          .run()
      } catch let error as TrainingError {
        return error.description
      }
      return "accepted"
    }
    let fixed = HeldOutLosses(reference: [1, 1]) { _ in [.nan, 1] }
    #expect(try problem(batches([1]), fixed).contains("the data is of one domain, ones"))
    #expect(try problem(batches(), nil).contains("no reference loss for each of the 2 data files"))
    #expect(try problem(batches([1, 1, 1]), fixed).contains("each of the 3 data files"))
    #expect(try problem(ToyBatches(), fixed).contains("fixed shares"))
    let message = try problem(batches(), fixed)
    #expect(message.contains("after step 3 are no numbers; lower learning_rate"), "\(message)")
  }
}
