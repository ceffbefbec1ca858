import Data
import Formats
import TestSupport
import Testing

@Suite struct TokenStreamTests {
  @Test func domains() {
    #expect(TokenStream.domain(of: "/data/code.train.jsonl.zst") == "code")
    #expect(TokenStream.domain(of: "math.jsonl") == "math")
    #expect(TokenStream.domain(of: "plain") == "plain")
  }

  @Test func buildsOneStreamPerDomain() throws {
    let folder = TemporaryFolder()
    let chat = #"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}"#
    let files = [
      folder.write("b.1.jsonl", chat + "\n" + #"{"text": "xyz"}"#), folder.write("a.txt", "hello"),
      folder.write("b.2.jsonl", chat),
    ]
    let tokenizer = try ChatFixtures.tokenizer(bos: "<|begin_of_text|>")
    let streams = try TokenStreamBuilder(tokenizer: tokenizer, format: .llama3)
      .streams(files: files)
    #expect(streams.map(\.domain) == ["b", "a"])
    let b = streams[0]
    #expect(b.documentStarts.count == 3)
    #expect(b.ids.count == b.lossMask.count)
    // Of each chat the answer and its end, of the text all but the beginning-of-text token.
    #expect(b.lossMask.reduce(0) { $0 + Int($1) } == 2 + 3 + 2)
    #expect(b.ids[b.document(0)] == b.ids[b.document(2)])
    #expect(b.document(1).count == 4 && b.lossMask[b.document(1)].elementsEqual([0, 1, 1, 1]))
    #expect(streams[1].lossMask == [0, 1, 1, 1, 1, 1])
  }

  @Test func reportsWhereRenderingFails() throws {
    let folder = TemporaryFolder()
    let tokenizer = try ChatFixtures.tokenizer()
    let file = folder.write("a.jsonl", "{\"text\":\"x\"}\n{\"prompt\":\"x\",\"response\":\"y\"}")
    let none = #expect(throws: RecordError.self) {
      try TokenStreamBuilder(tokenizer: tokenizer, format: nil).stream(files: [file])
    }
    #expect(try #require(none).description.contains("a.jsonl:2: "))
    #expect(try #require(none).description.contains("--chat-format"))
    let bad = folder.write("b.jsonl", #"{"messages":[{"role":"assistant","content":"x"}]}"#)
    let order = #expect(throws: RecordError.self) {
      try TokenStreamBuilder(tokenizer: tokenizer, format: .llama2).stream(files: [bad])
    }
    #expect(try #require(order).description.contains("b.jsonl:1: message 1"))
  }

  @Test func whatFollowsACut() {
    var stream = TokenStream(domain: "d")
    stream.append(ids: [1, 2, 3], lossMask: [0, 1, 1])
    stream.append(ids: [4, 5], lossMask: [0, 1])
    let rest = stream.dropping(2)
    #expect(rest.ids == [3, 4, 5] && rest.lossMask == [1, 0, 1])
    #expect(rest.documentStarts == [0, 1] && rest.domain == "d")
    #expect(stream.dropping(3).documentStarts == [0])
    #expect(stream.dropping(0) == stream)
    #expect(stream.dropping(5).ids.isEmpty && stream.dropping(9).documentStarts.isEmpty)
  }

  /// Window j holds tokens j·L …, its targets are one further, and no window is partial.
  @Test(arguments: [(0, 0), (4, 0), (5, 1), (8, 1), (9, 2), (100, 3)])
  func evaluationWindows(tokens: Int, windows: Int) {
    var stream = TokenStream(domain: "d")
    let ids = (0..<Int32(tokens)).map { $0 + 100 }
    stream.append(ids: ids, lossMask: ids.map { UInt8($0 % 3 == 0 ? 1 : 0) })
    let evaluation = EvaluationWindows(stream, length: 4, limit: 3)
    #expect(evaluation.count == windows)
    var seen = 0
    for batch in evaluation.batches(of: 2) {
      for index in batch.tokens.indices {
        let window = seen + index / 4
        #expect(batch.tokens[index] == Int32(100 + window * 4 + index % 4))
        #expect(batch.targets[index] == batch.tokens[index] + 1)
        #expect(batch.lossWeights[index] == (batch.targets[index] % 3 == 0 ? 1 : 0))
        #expect(batch.positions[index] == Int32(index % 4))
        #expect(batch.documentStarts[index] == Int32(index / 4 * 4))
      }
      seen += batch.sequenceCount
    }
    #expect(seen == windows)
  }
}
