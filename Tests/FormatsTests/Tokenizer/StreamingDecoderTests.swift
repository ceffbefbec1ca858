import Formats
import TestSupport
import Testing

@Suite struct StreamingDecoderTests {
  @Test(arguments: TokenizerFixtures.names)
  func concatenationEqualsDecoding(name: String) throws {
    let tokenizer = try TokenizerFixtures.tokenizer(name)
    var random = SeededGenerator(seed: 3)
    for _ in 0..<300 {
      let ids = (0..<Int.random(in: 0...12, using: &random)).map { _ in
        // One id behind the vocabulary produces nothing.
        Int32.random(in: 0...Int32(tokenizer.vocabularySize), using: &random)
      }
      for skips in [false, true] {
        var decoder = StreamingDecoder(tokenizer, skipSpecial: skips)
        var text = ""
        for id in ids { text += decoder.append(id) }
        text += decoder.finish()
        let whole = tokenizer.decode(ids, skipSpecial: skips)
        #expect(Array(text.utf8) == Array(whole.utf8), "\(ids)")
      }
    }
  }

  /// No chunk ends within a character.
  @Test func chunksAreComplete() throws {
    let tokenizer = try TokenizerFixtures.tokenizer("gpt2")
    let text = "naïve 日本語 👩‍👩‍👧‍👦 𝔸"
    let ids = tokenizer.encode(text, addSpecialTokens: false)
    var decoder = StreamingDecoder(tokenizer)
    var chunks = ids.map { decoder.append($0) }
    #expect(chunks.allSatisfy { !$0.unicodeScalars.contains("\u{FFFD}") })
    #expect(chunks.contains(""))
    chunks.append(decoder.finish())
    #expect(chunks.joined() == text)
  }

  /// A character cut short at the end becomes one replacement character.
  @Test func cutCharacterIsReplaced() throws {
    let tokenizer = try TokenizerFixtures.tokenizer("gpt2")
    let byte = try #require(tokenizer.id(of: "Ã"))
    var decoder = StreamingDecoder(tokenizer)
    #expect(decoder.append(byte) == "")
    #expect(decoder.finish() == "\u{FFFD}")
  }
}
