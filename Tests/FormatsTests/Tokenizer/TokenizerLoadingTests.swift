import Formats
import TestSupport
import Testing

@Suite struct TokenizerLoadingTests {
  /// Loads llama3.json with one member replaced and returns what the error says.
  private func problem(
    _ path: [String], _ value: JSON, in name: String = "llama3"
  ) throws -> String {
    let document = try TokenizerFixtures.document(name, replacing: path, with: value)
    let error = #expect(throws: TokenizerError.self) { try Tokenizer(json: document) }
    let text = try #require(error).description
    #expect(!text.contains("\n"))
    return text
  }

  @Test func namesUnknownPattern() throws {
    let path = ["pre_tokenizer", "pretokenizers", "0", "pattern", "Regex"]
    #expect(try problem(path, #"\w+(a+)+$"#).contains(#"\w+(a+)+$"#))
  }

  @Test func refusesBadIDs() throws {
    #expect(try problem(["model", "vocab", "!"], -1).contains("not an integer"))
    #expect(try problem(["model", "vocab", "!"], 1.0).contains("not an integer"))
    #expect(try problem(["model", "vocab", "!"], 4_000_000_000).contains("not an integer"))
    #expect(try problem(["model", "vocab", "!"], 1).contains("two tokens have the id 1"))
    #expect(try problem(["added_tokens", "0", "id"], 5).contains("belongs to a token"))
    #expect(try problem(["added_tokens", "1", "id"], 700).contains("occurs twice"))
  }

  @Test func refusesBadMerges() throws {
    let merges = ["model", "merges"]
    #expect(try problem(merges, [["a", "qqq"]]).contains("\"qqq\" is not in the vocabulary"))
    #expect(try problem(merges, [["e", "r"], ["e", "r"]]).contains("twice"))
    #expect(try problem(merges, [["", "a"]]).contains("merges forever"))
    #expect(try problem(merges, ["a b c"]).contains("neither"))
    #expect(try problem(merges, [["a"]]).contains("neither"))
    #expect(try problem(merges, nil).contains("not an array"))
  }

  @Test func refusesUnknownComponents() throws {
    #expect(try problem(["model", "type"], "WordPiece").contains("WordPiece"))
    #expect(try problem(["normalizer"], ["type": "Lowercase"]).contains("Lowercase"))
    #expect(try problem(["pre_tokenizer"], ["type": "Digits"]).contains("Digits"))
    #expect(try problem(["post_processor"], ["type": "BertProcessing"]).contains("Bert"))
    #expect(try problem(["decoder"], ["type": "CTC"]).contains("CTC"))
    #expect(try problem(["model", "end_of_word_suffix"], "</w>").contains("</w>"))
  }

  @Test func refusesHugeAddedTokenLists() throws {
    let tokens = (0...(1 << 18)).map { JSON.number(JSONNumber($0)) }
    #expect(try problem(["added_tokens"], .array(tokens)).contains("at most"))
  }

  /// A token without a row in the embedding is an error; rows without a token are normal.
  @Test func checksModelVocabulary() throws {
    let document = try TokenizerFixtures.document("llama3")
    let size = try Tokenizer(json: document).vocabularySize
    #expect(try Tokenizer(json: document, modelVocabularySize: size + 64).vocabularySize == size)
    let error = #expect(throws: TokenizerError.self) {
      try Tokenizer(json: document, modelVocabularySize: size - 1)
    }
    #expect(try #require(error).description.contains("vocab_size \(size - 1)"))
  }

  @Test func readsFolders() throws {
    let folder = TemporaryFolder()
    let missing = #expect(throws: TokenizerError.self) { try Tokenizer(folder: folder.path) }
    #expect(try #require(missing).description.contains("tokenizer.json"))
    folder.write("tokenizer.json", try TokenizerFixtures.bytes("gpt2"))
    #expect(try Tokenizer(folder: folder.path).vocabularySize == 700)
    folder.write("config.json", #"{"vocab_size": 10}"#)
    #expect(throws: TokenizerError.self) { try Tokenizer(folder: folder.path) }
    folder.write("tokenizer.json", #"{"model": {"vocab": {"\ud800": 0}}}"#)
    #expect(throws: TokenizerError.self) { try Tokenizer(folder: folder.path) }
  }

  /// Damaged files load or are refused with one line; what loads also encodes and decodes.
  @Test(arguments: ["gpt2-added", "llama2", "sentencepiece-unknown"])
  func survivesMutation(name: String) throws {
    let bytes = try small(name)
    var mutator = Mutator(seed: 11)
    var loaded = 0
    for _ in 0..<800 {
      guard let json = try? JSON.parse(mutator.mutate(bytes)) else { continue }
      do {
        let tokenizer = try Tokenizer(json: json)
        loaded += 1
        let ids = tokenizer.encode("They're  wor <lst> é 12\n\n日", addSpecialTokens: true)
        #expect(ids.allSatisfy { (0..<Int32(tokenizer.vocabularySize)).contains($0) })
        _ = tokenizer.decode(ids + [-1, .max], skipSpecial: false)
      } catch {
        #expect(!"\(error)".contains("\n"))
      }
    }
    #expect(loaded > 10)
  }

  /// The document with few enough merges that damage falls everywhere.
  private func small(_ name: String) throws -> [UInt8] {
    let merges = try TokenizerFixtures.document(name)["model"]?["merges"]?.array ?? []
    let cut = try TokenizerFixtures.document(
      name, replacing: ["model", "merges"], with: .array(Array(merges.prefix(20))))
    return Array(cut.serialized().utf8)
  }
}
