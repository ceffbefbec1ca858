import Data
import Glibc
import Models
import Numerics
import Testing

@testable import Evaluation

@Suite struct WindowScoringTests {
  private let context: Context
  private let bigram = BigramModel(
    scores: [[0, 1, 2, 0.5], [1, 0, -1, 2], [0.3, 0.1, 0, 0], [2, 2, 0, 1]])

  init() throws { context = try Context(device: .cpu(threads: 2)) }

  private func stream(_ ids: [Int32], _ mask: [UInt8]) -> TokenStream {
    var stream = TokenStream(domain: "toy")
    stream.append(ids: ids, lossMask: mask)
    return stream
  }

  @Test func windowsPredictTheTokenBehindEachInput() throws {
    // Two windows of three: inputs 0…2 and 3…5, targets 1…3 and 4…6, so token 7 plays no part.
    let ids: [Int32] = [0, 1, 2, 3, 0, 2, 1, 3]
    let mask: [UInt8] = [1, 0, 1, 1, 0, 0, 1, 1]
    let evaluator = try Evaluator(
      try bigram.model(in: context), settings: .init(window: 3, windows: 48), in: context)
    let score = try evaluator.evaluate(stream(ids, mask))
    let scored = [(1, 2), (2, 3), (2, 1)]
    let expected = -scored.map { bigram.logProbabilities[$0.0][$0.1] }.reduce(0, +) / 3
    #expect(score.windows == 2)
    #expect(score.tokens == 3)
    #expect(abs(score.loss - expected) < 1e-5)
    #expect(abs(score.perplexity - exp(expected)) < 1e-4)
    // Best next tokens are 3 after 1 and 0 after 2, so none of the targets is ranked first.
    #expect(score.accuracy == 0)
    #expect(score.divergence == nil && score.agreement == nil && score.load.isEmpty)
  }

  @Test func theLastTokenIsATargetOfAFullWindow() throws {
    let evaluator = try Evaluator(
      try bigram.model(in: context), settings: .init(window: 3, windows: 48), in: context)
    let ones = [UInt8](repeating: 1, count: 7)
    #expect(try evaluator.evaluate(stream([0, 1, 2, 3, 0, 1, 2], ones)).tokens == 6)
    #expect(
      try evaluator.evaluate(stream([0, 1, 2, 3, 0, 1], [1, 1, 1, 1, 1, 1])).tokens == 3)
  }

  @Test func meanIsOverDomainsNotTokens() throws {
    let evaluator = try Evaluator(
      try bigram.model(in: context), settings: .init(window: 2, windows: 48), in: context)
    let short = stream([0, 1, 2], [1, 1, 1])
    let long = stream([3, 0, 3, 0, 3, 0, 3], [UInt8](repeating: 1, count: 7))
    let result = try evaluator.evaluate([short, long])
    #expect(result.domains.map(\.tokens) == [2, 6])
    #expect(abs(result.mean - (result.domains[0].loss + result.domains[1].loss) / 2) < 1e-12)
    #expect(abs(result.domains[0].loss - result.domains[1].loss) > 0.01)
  }

  @Test func packingDoesNotChangeScores() throws {
    let model = try RandomModel.make(in: context)
    let stream = RandomModel.stream(200)
    func loss(_ tokensPerPass: Int) throws -> Double {
      let settings = Evaluator.Settings(window: 16, windows: 11, tokensPerPass: tokensPerPass)
      return try Evaluator(model, settings: settings, in: context).evaluate(stream).loss
    }
    let alone = try loss(1)
    #expect(abs(alone - (try loss(64))) < 1e-5)
    #expect(abs(alone - (try loss(1000))) < 1e-5)
  }

  @Test func unusableDataAndSettingsAreNamed() throws {
    let model = try bigram.model(in: context)
    let evaluator = try Evaluator(model, settings: .init(window: 4, windows: 1), in: context)
    #expect(throws: EvaluationError.self) { try evaluator.evaluate(stream([0, 1], [1, 1])) }
    #expect(throws: EvaluationError.self) {
      try evaluator.evaluate(stream([0, 1, 2, 3, 0], [0, 0, 0, 0, 0]))
    }
    #expect(throws: EvaluationError.self) {
      try Evaluator(model, settings: .init(window: 65, windows: 1), in: context)
        .evaluate(RandomModel.stream(100))
    }
    #expect(throws: EvaluationError.self) {
      try Evaluator(model, against: RandomModel.make(in: context), in: context)
    }
  }
}
