import TestSupport
import Testing

@testable import Formats

@Suite struct GGUFVocabularyTests {
  private let folder = TemporaryFolder()

  private func vocabulary(
    _ document: JSON, rows: Int, ends: [Int] = [], template: String? = nil
  ) throws -> GGUFVocabulary {
    folder.write("tokenizer.json", document.serialized())
    return try GGUFVocabulary(
      folder: folder.path, rows: rows, beginning: nil, ends: ends, chatTemplate: template)
  }

  private func value(_ key: String, _ vocabulary: GGUFVocabulary) -> GGUFValue? {
    vocabulary.metadata.first { $0.key == "tokenizer.\(key)" }?.value
  }

  @Test(arguments: [
    ("llama3", true, "llama-bpe"), ("llama3", false, "smaug-bpe"), ("gpt2", false, "gpt-2"),
    ("qwen2", false, "qwen2"),
  ])
  func splitPatternsHaveTheirNames(name: String, ignoresMerges: Bool, pre: String) throws {
    let document = try TokenizerFixtures.document(
      name, replacing: ["model", "ignore_merges"], with: .bool(ignoresMerges))
    let tokenizer = try Tokenizer(json: document)
    let rows = tokenizer.vocabularySize + 2
    let found = try vocabulary(document, rows: rows, ends: [3, 5], template: "{{ x }}")
    #expect(value("ggml.model", found) == .string("gpt2"))
    #expect(value("ggml.pre", found) == .string(pre))
    guard case .strings(let tokens)? = value("ggml.tokens", found),
      case .i32s(let kinds)? = value("ggml.token_type", found),
      case .strings(let merges)? = value("ggml.merges", found)
    else {
      Issue.record("arrays are missing")
      return
    }
    #expect(tokens.count == rows && kinds.count == rows)
    for id in 0..<rows {
      let spelled = tokenizer.token(of: Int32(id))
      #expect(tokens[id] == spelled ?? "[PAD\(id)]")
      let special = tokenizer.isSpecial(Int32(id))
      let added = tokenizer.addedTokens[Int32(id)] != nil
      #expect(kinds[id] == (spelled == nil ? 5 : special ? 3 : added ? 4 : 1))
    }
    #expect(kinds.suffix(2) == [5, 5])
    #expect(merges.count == document["model"]?["merges"]?.array?.count)
    #expect(merges.allSatisfy { $0.split(separator: " ").count == 2 })
    #expect(value("ggml.eos_token_id", found) == .u32(3))
    #expect(value("ggml.eot_token_id", found) == .u32(5))
    #expect(value("chat_template", found) == .string("{{ x }}"))
    #expect(value("ggml.add_bos_token", found) == .bool(!tokenizer.prefixTokens.isEmpty))
    #expect((found.notes.isEmpty == false) == (name == "qwen2"))
  }

  @Test func otherTokenizersAreRefused() throws {
    let sentence = try TokenizerFixtures.document("llama2")
    let error = #expect(throws: GGUFError.self) { try vocabulary(sentence, rows: 4000) }
    #expect(error?.description.contains("SentencePiece") == true)
    let ignoring = try TokenizerFixtures.document(
      "gpt2", replacing: ["model", "ignore_merges"], with: true)
    let merges = #expect(throws: GGUFError.self) { try vocabulary(ignoring, rows: 60_000) }
    #expect(merges?.description.contains("ignore_merges") == true)
    let small = try TokenizerFixtures.document("gpt2")
    #expect(throws: TokenizerError.self) { try vocabulary(small, rows: 3) }
  }
}
