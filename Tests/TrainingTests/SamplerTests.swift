import Data
import Models
import Numerics
import Testing

@testable import Training

@Suite struct SamplerTests {
  /// Records that count by `stride`, of uneven lengths.
  private func stream(_ domain: String, stride: Int) -> TokenStream {
    var stream = TokenStream(domain: domain)
    for record in 0..<20 {
      let ids = (0..<7 + record % 5).map {
        Int32((record + $0 * stride) % ToyModel.vocabulary)
      }
      stream.append(ids: ids, lossMask: ids.indices.map { $0 < 2 ? 0 : 1 })
    }
    return stream
  }

  @Test(arguments: [TrainingSampler.Mode.documents, .windows])
  func samplersFeedAStage(_ mode: TrainingSampler.Mode) throws {
    let context = try makeContext()
    let settings = toySettings(steps: 30)
    let sampler = try TrainingSampler(
      [(stream("code", stride: 1), 1), (stream("math", stride: 3), 1)], mode: mode,
      sequenceLength: settings.sequenceLength, batchSize: settings.batchSequences, seed: 3)
    #expect(sampler.domains == ["code", "math"])
    var losses: [Double] = []
    var hooks = TrainingHooks()
    hooks.onStep = { losses.append($0.term("cross_entropy") ?? .infinity) }
    let summary = try Trainer(
      settings, model: ToyModel.make(in: context), batches: sampler, hooks: hooks, in: context
    ).run()
    #expect(summary.last?.domains.map(\.domain) == ["code", "math"])
    #expect(losses.count == 30 && losses[29] < 0.7 * losses[0], "\(losses)")
  }
}
