import Data
import Glibc
import Models
import Numerics
import Testing

@testable import Evaluation

@Suite struct ComparisonTests {
  private let context: Context

  init() throws { context = try Context(device: .cpu(threads: 2)) }

  @Test func aModelAgreesWithItself() throws {
    let model = try RandomModel.make(in: context)
    let score = try Evaluator(
      model, against: model, settings: .init(window: 16, windows: 4), in: context
    ).evaluate(RandomModel.stream(100))
    #expect(abs(try #require(score.divergence)) < 1e-6)
    #expect(score.agreement == 1)
  }

  @Test func divergenceIsFromTheReferenceToTheModel() throws {
    let model = BigramModel(scores: [[1, 0], [0, 0]])
    let reference = BigramModel(scores: [[0, 2], [0, 1]])
    var stream = TokenStream(domain: "toy")
    stream.append(ids: [0, 0, 1], lossMask: [1, 1, 1])
    let score = try Evaluator(
      model.model(in: context), against: reference.model(in: context),
      settings: .init(window: 2, windows: 1), in: context
    ).evaluate(stream)
    let (p, q) = (reference.logProbabilities[0], model.logProbabilities[0])
    let divergence = zip(p, q).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }
    #expect(abs(try #require(score.divergence) - divergence) < 1e-5)
    #expect(score.agreement == 0)
  }

  @Test func expertLoadCountsEveryChoice() throws {
    let model = try RandomModel.make(mixture: true, in: context)
    let score = try Evaluator(
      model, settings: .init(window: 16, windows: 5, tokensPerPass: 32), in: context
    ).evaluate(RandomModel.stream(90))
    #expect(score.load.map(\.layer) == [0, 1])
    for load in score.load {
      #expect(load.counts.reduce(0, +) == 16 * 5 * 2)
      #expect(abs(load.shares.reduce(0, +) - 1) < 1e-12)
      #expect((0...1).contains(load.normalizedEntropy))
      // With two choices per token no expert can have more than half.
      #expect(load.maximumShare <= 0.5)
    }
  }
}
