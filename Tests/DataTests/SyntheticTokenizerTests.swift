import Formats
import Testing

@testable import Data

@Suite("SyntheticTests: tokenizer of the generated text")
struct SyntheticTokenizerTests {
  private let text = SyntheticText(seed: 3)

  private func trained() -> TrainedTokenizer {
    var trainer = BytePairTrainer()
    for domain in SyntheticDomain.allCases {
      for index in 0..<200 {
        for message in text.record(domain, index).messages {
          trainer.add(text: message.content, split: Tokenizer.llama3Pieces)
        }
      }
    }
    return TrainedTokenizer(
      merges: trainer.merges(limit: TrainedTokenizer.mergeLimit(vocabularySize: 700)))
  }

  @Test("the written files load, keep text whole and spell numbers digit by digit")
  func loads() throws {
    let trained = trained()
    #expect(trained.vocabularySize <= 700 && trained.merges.count > 300)
    let tokenizer = try Tokenizer(
      json: try JSON.parse(Array(trained.tokenizerJSON.utf8)), modelVocabularySize: 704)
    #expect(tokenizer.vocabularySize == trained.vocabularySize)
    for token in TrainedTokenizer.specialTokens {
      #expect(tokenizer.id(of: token).map(Int.init) == trained.id(ofSpecial: token))
    }
    let start = try #require(tokenizer.id(of: "<|begin_of_text|>"))
    #expect(tokenizer.encode("a", addSpecialTokens: true).first == start)
    for domain in SyntheticDomain.allCases {
      for index in 0..<50 {
        let answer = text.record(domain, index, split: .heldOut).answer
        let ids = tokenizer.encode(answer, addSpecialTokens: false)
        #expect(tokenizer.decode(ids, skipSpecial: true) == answer)
      }
    }
    #expect(tokenizer.encode("347+85", addSpecialTokens: false).count == 6)
    let answers = (0..<50).map { text.record(.conversation, $0).answer }
    let tokens = answers.reduce(0) { $0 + tokenizer.encode($1, addSpecialTokens: false).count }
    let bytes = answers.reduce(0) { $0 + $1.utf8.count }
    #expect(2 * bytes > 5 * tokens, "words became tokens")
  }

  @Test("every byte can be encoded")
  func bytes() throws {
    let tokenizer = try Tokenizer(json: try JSON.parse(Array(trained().tokenizerJSON.utf8)))
    let odd = "caf\u{E9} \u{1F600}\u{0}\u{7F}\t\r\n \u{FFFD}"
    let ids = tokenizer.encode(odd, addSpecialTokens: false)
    #expect(tokenizer.decode(ids, skipSpecial: true) == odd)
  }

  @Test("the companions are JSON, and the template is read as LLaMA-3's")
  func companions() throws {
    let trained = trained()
    for file in trained.files(contextLength: 256) {
      #expect(throws: Never.self) { try JSON.parse(Array(file.contents.utf8)) }
    }
    let configuration = try JSON.parse(Array(trained.configJSON(contextLength: 256).utf8))
    let template = try #require(configuration["chat_template"]?.string)
    #expect(ChatFormat(template: template) == .llama3)
    let generation = try JSON.parse(Array(trained.generationConfigJSON.utf8))
    let end = trained.id(ofSpecial: "<|eot_id|>")
    #expect(generation["eos_token_id"]?.array?.first?.int == end)
  }
}
