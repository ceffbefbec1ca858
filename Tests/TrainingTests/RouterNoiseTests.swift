import Models
import Numerics
import TestSupport
import Testing

@testable import Training

@Suite struct RouterNoiseTests {
  private func mixture(_ kind: RouterKind, threshold: Double? = nil) -> MixtureConfiguration {
    MixtureConfiguration(
      experts: 4, topK: 2, expertWidth: 8, combination: .sigmoid(scale: 2), routerKind: kind,
      scoreThreshold: threshold, noiseWeight: kind == .linear)
  }

  private func losses(
    _ mixture: MixtureConfiguration, noise: Double, jitter: Double = 0,
    checkpointing: Bool = false, microBatch: Int = 4
  ) throws -> [Double] {
    let context = try makeContext()
    var settings = toySettings(steps: 12)
    settings.routerNoise = noise
    settings.routerJitter = jitter
    settings.checkpointing = checkpointing
    settings.microBatch = microBatch
    let model = try ToyModel.make(mixture, in: context)
    let metrics = try train(settings, model, in: context)
    #expect(model.routers.allSatisfy { $0.router.noise == nil && $0.router.jitter == nil })
    return metrics.map(\.loss)
  }

  /// A function of seed and step: the same again, and the same when activations are recomputed.
  @Test(arguments: [RouterKind.linear, .gatedPair]) func noiseIsSeeded(kind: RouterKind) throws {
    let plain = try losses(mixture(kind), noise: 0)
    let noisy = try losses(mixture(kind), noise: 0.5)
    #expect(plain != noisy)
    #expect(try noisy == losses(mixture(kind), noise: 0.5))
    #expect(try noisy == losses(mixture(kind), noise: 0.5, checkpointing: true))
    #expect((noisy.last ?? 9) < (noisy.first ?? 0))
  }

  /// The same again, also with activations recomputed; a change of what is seen, not of the scores.
  @Test(arguments: [RouterKind.linear, .tanhPair, .gatedPair])
  func jitterIsSeeded(kind: RouterKind) throws {
    let plain = try losses(mixture(kind), noise: 0)
    let jittered = try losses(mixture(kind), noise: 0, jitter: 0.3)
    #expect(plain != jittered)
    #expect(try jittered == losses(mixture(kind), noise: 0, jitter: 0.3))
    #expect(try jittered == losses(mixture(kind), noise: 0, jitter: 0.3, checkpointing: true))
    #expect(try jittered != losses(mixture(kind), noise: 0, jitter: 0.3, microBatch: 2))
    #expect(try jittered != losses(mixture(kind), noise: 0.1, jitter: 0.3))
    #expect((jittered.last ?? 9) < (jittered.first ?? 0))
  }

  /// Only the router sees the factors: with one expert, whose weight is always one, nothing changes.
  @Test func expertsSeeWhatTheyAlwaysSaw() throws {
    let alone = MixtureConfiguration(
      experts: 1, topK: 1, expertWidth: 8, combination: .renormalizedSoftmax(scale: 1))
    #expect(try losses(alone, noise: 0, jitter: 0.5) == losses(alone, noise: 0))
  }

  /// Gradients through the whole model with fixed factors, attention experts included.
  @Test func gradientsFlowThroughJitter() throws {
    let context = try makeContext()
    let model = try ToyModel.make(
      mixture(.linear), attention: ToyModel.heads, dtype: .f64, in: context)
    for parameter in model.parameters {
      parameter.isTrainable =
        parameter.name.contains("router.weight") || parameter.name.contains("norm")
    }
    let jitter = RouterNoising(size: 0, jitter: 0.2, seed: 3)
    jitter.set(model, step: 4, sequence: 2)
    #expect(model.routers.count == 4)
    #expect(Set(model.routers.compactMap { $0.router.jitter?.seed }).count == 4)
    let tokens = (0..<9).map { Int32(($0 * 5) % ToyModel.vocabulary) }
    let error = gradientDisagreement(context, model.parameters.filter(\.isTrainable)) { context in
      context.probe(
        model(
          context.tensor(tokens, [9]), layout: SequenceLayout(count: 9, in: context), in: context
        ).hidden_TD)
    }
    #expect(error < 1e-6, "\(error)")
  }

  /// Killed after a checkpoint in the middle, a stage draws what it would have drawn.
  @Test func aResumedStageDrawsTheSame() throws {
    struct Killed: Error {}
    let folder = TemporaryFolder()
    var settings = toySettings(steps: 7)
    settings.routerJitter = 0.3
    settings.microBatch = 2
    settings.checkpointEvery = 3
    func run(_ folder: String?, killedAfter step: Int? = nil) throws -> [String: [Float]] {
      let context = try makeContext()
      let model = try ToyModel.make(mixture(.linear), attention: ToyModel.heads, in: context)
      var hooks = TrainingHooks()
      hooks.onStep = { if $0.step == step { throw Killed() } }
      _ = try Trainer(
        settings, model: model, batches: ToyBatches(),
        store: folder.map { CheckpointStore(folder: $0, settings: settings.json) }, hooks: hooks,
        seed: 11, in: context
      ).run()
      return weights(model, in: context)
    }
    #expect(throws: Killed.self) { try run(folder.path, killedAfter: 5) }
    #expect(try run(folder.path) == run(nil))
  }

  @Test func everyRouterParameterLearns() throws {
    let context = try makeContext()
    for mixture in [mixture(.linear), mixture(.gatedPair, threshold: 0.01)] {
      let model = try ToyModel.make(mixture, in: context)
      let before = weights(model, in: context)
      var settings = toySettings(steps: 3)
      settings.routerNoise = 0.1
      _ = try train(settings, model, in: context)
      let after = weights(model, in: context)
      for name in before.keys where name.contains(".router.") {
        #expect(before[name] != after[name], "\(name)")
      }
    }
  }

  /// Selection biases steer sigmoid routing towards balance.
  @Test func selectionBiasMovesUnderSigmoids() throws {
    let context = try makeContext()
    var mixture = mixture(.linear)
    (mixture.selectionBias, mixture.noiseWeight) = (true, false)
    let model = try ToyModel.make(mixture, in: context)
    var settings = toySettings(steps: 4)
    settings.losses.selectionBiasRate = 0.01
    let metrics = try train(settings, model, in: context)
    #expect(metrics.allSatisfy { ($0.term("load_balance") ?? 0) > 0 })
    for routed in model.routers {
      let bias = try #require(routed.router.selectionBias)
      #expect(context.read(bias.value).contains { $0 != 0 })
    }
  }
}
