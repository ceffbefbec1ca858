import Data
import Formats
import Models
import Numerics
import Testing

@testable import Evaluation

@Suite struct ExactMatchTests {
  @Test func greedyAnswersAreCompared() throws {
    let context = try Context(device: .cpu(threads: 1))
    let vocabulary = TrainedTokenizer(merges: [])
    let tokenizer = try Tokenizer(json: JSON.parse(Array(vocabulary.tokenizerJSON.utf8)))
    func id(_ text: String) throws -> Int {
      Int(try #require(tokenizer.encode(text, addSpecialTokens: false).first))
    }
    let end = Int(try #require(tokenizer.id(of: "<|eot_id|>")))
    let bigram = BigramModel(
      vocabulary: tokenizer.vocabularySize,
      next: [try id("\n"): try id("o"), try id("o"): try id("k"), try id("k"): end])
    let model = try bigram.model(positions: 128, in: context)
    func talk(_ answer: String) -> [Message] {
      [Message(role: "user", content: "well?"), Message(role: "assistant", content: answer)]
    }
    let renderer = try ChatRenderer(format: .llama3, tokenizer: tokenizer)
    var seen: [Int] = []
    let result = try ExactMatch(
      of: model,
      on: [talk("ok"), talk(" ok\n"), talk("okay"), [Message(role: "user", content: "?")]],
      renderer: renderer, limit: 8, in: context
    ) { done, total in
      seen.append(done)
      #expect(total == 3)
    }
    #expect(result.answers.map(\.given) == ["ok", "ok", "ok"])
    #expect(result.matches == 2)
    #expect(abs(result.rate - 2 / 3.0) < 1e-12)
    #expect(seen == [1, 2, 3])
  }
}
