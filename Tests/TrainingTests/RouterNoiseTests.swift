import Models
import Numerics
import Testing

@testable import Training

@Suite struct RouterNoiseTests {
  private func mixture(_ kind: RouterKind, threshold: Double? = nil) -> MixtureConfiguration {
    MixtureConfiguration(
      experts: 4, topK: 2, expertWidth: 8, combination: .sigmoid(scale: 2), routerKind: kind,
      scoreThreshold: threshold, noiseWeight: kind == .linear)
  }

  private func losses(
    _ mixture: MixtureConfiguration, noise: Double, checkpointing: Bool = false,
    microBatch: Int = 4
  ) throws -> [Double] {
    let context = try makeContext()
    var settings = toySettings(steps: 12)
    settings.routerNoise = noise
    settings.checkpointing = checkpointing
    settings.microBatch = microBatch
    let model = try ToyModel.make(mixture, in: context)
    let metrics = try train(settings, model, in: context)
    #expect(model.routers.allSatisfy { $0.router.noise == nil })
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
