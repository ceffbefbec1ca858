import Formats
import Models
import Numerics
import TestSupport
import Testing

/// Embedding a text without loading the table.
@Suite struct EmbeddingRowsTests {
  @Test func rowsAreThoseOfTheTable() throws {
    let context = try Context(device: .cpu(threads: 1))
    let folder = TemporaryFolder()
    try Example.llama.write(to: folder.path)
    let loader = try ModelLoader(
      layout: Example.llama.layout(), checkpoint: Checkpoint(folder: folder.path))
    let text: [Int32] = [39, 1, 4, 1, 0, 39]
    let table = try loader.parameter(named: "model.embed_tokens.weight", in: context).value
    let expected = context.read(context.embedding(context.tensor(text, [6]), weight: table))
    let x_TD = try loader.embedding(
      of: text, layout: SequenceLayout(count: 6, in: context), in: context)
    #expect(x_TD.shape == [6, table.columns] && context.read(x_TD) == expected)
  }

  @Test(arguments: [-1, 40]) func tokensOutsideTheVocabularyAreNamed(token: Int32) throws {
    let context = try Context(device: .cpu(threads: 1))
    let folder = TemporaryFolder()
    try Example.llama.write(to: folder.path)
    let loader = try ModelLoader(
      layout: Example.llama.layout(), checkpoint: Checkpoint(folder: folder.path))
    let error = #expect(throws: ModelError.self) {
      try loader.embedding(
        of: [3, token], layout: SequenceLayout(count: 2, in: context), in: context)
    }
    #expect("\(error.map { "\($0)" } ?? "")".contains("token \(token)"))
  }
}
