import Data
import Formats
import Glibc
import Models
import Numerics
import Testing

@testable import Evaluation

@Suite struct WikiTextTests {
  @Test func articlesBeginAtFirstLevelHeadings() {
    let text = " \n = One = \n \n Text . \n = = Part = = \n More . \n = Two <unk> = \n \n End . \n"
    let articles = WikiTextArticle.articles(in: text)
    #expect(articles.count == 2)
    #expect(articles[0].text == " = One = \n \n Text . \n = = Part = = \n More . ")
    #expect(articles[1].text.hasPrefix(" = Two <unk> = "))
    // Pieces between runs of white space, the empty ones at both ends included.
    #expect(articles[0].text.harnessWords == 14)
  }

  @Test(arguments: [
    ("two @-@ part", "two-part"), ("1 @,@ 000 @.@ 5", "1,000.5"),
    ("a , b ; c : d . E ! F ? g", "a, b; c: d. E! F? g"),
    ("( x ) [ y ] { z }", "(x) [y] {z}"), ("said \" so it is \" then", "said \"so it is\" then"),
    ("= = Part = =", "== Part =="), ("= = = Deep = = =", "=== Deep ==="),
    ("one \n two", "one\ntwo"), ("the cat 's hat", "the cat's hat"),
    ("an N of", "an 1 of"), ("open ( never closed", "open ( never closed"), ("()", "()"),
    ("5 \u{B0} C", "5\u{B0}C"),
  ])
  func detokenizing(_ spaced: String, _ prose: String) {
    #expect(WikiTextArticle(text: spaced).detokenized == prose)
  }

  @Test(arguments: [1, 2, 7, 8, 9, 16, 23])
  func rollingSpansScoreEachTargetOnce(_ count: Int) {
    let spans = Span.rolling(over: 5..<5 + count, window: 8)
    let scored = spans.flatMap { $0.inputs.suffix($0.scored) }
    #expect(scored == Array(5..<5 + count))
    for span in spans { #expect(span.inputs.lowerBound >= 5 && span.inputs.count <= 8) }
    #expect(spans.last.map { $0.inputs.count } == min(8, count))
  }

  @Test func perplexitiesFollowTheirDefinitions() throws {
    let context = try Context(device: .cpu(threads: 1))
    let vocabulary = TrainedTokenizer(merges: [])
    let tokenizer = try Tokenizer(json: JSON.parse(Array(vocabulary.tokenizerJSON.utf8)))
    // Every token is as likely as any other, so each target costs ln V.
    let size = tokenizer.vocabularySize
    let uniform = BigramModel(vocabulary: size, next: [:])
    let evaluator = try Evaluator(
      uniform.model(positions: 16, in: context), settings: .init(tokensPerPass: 40), in: context)
    let text = " = One = \n a , b \n = Two = \n cd \n"
    let score = try evaluator.evaluateWikiText(text, tokenizer: tokenizer)
    #expect(score.window == 16)
    #expect(score.documents == 2)
    #expect(abs(score.tokenPerplexity - Double(size)) < 0.01)
    // Rows of 10, 8, 10 and 5 bytes, two newlines between each, and the beginning of the text: 40
    // tokens, so two windows of 16.
    #expect(score.tokens == 30)
    let articles = WikiTextArticle.articles(in: text)
    let scored = articles.map { $0.detokenized.utf8.count }.reduce(0, +)
    let words = articles.map(\.text.harnessWords).reduce(0, +)
    #expect(score.words == words)
    let expected = exp(Double(scored) * log(Double(size)) / Double(words))
    #expect(abs(score.wordPerplexity / expected - 1) < 1e-4)
  }
}
