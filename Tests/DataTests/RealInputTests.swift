import Data
import Formats
import TestSupport
import Testing

/// Against the real checkpoint and corpora, where they are present.
@Suite(.enabled(if: RealInput.isPresent, "needs the real input (HERD_REAL_DIR)"))
struct RealInputTests {
  /// A val file as Hugging Face `transformers` 5.17.0 and `tokenizers` 0.23.3 see it; the numbers
  /// come from Scripts/goldens/val_streams.py of 2026-11-23.
  struct Golden: Sendable {
    let domain: String
    let tokens: Int
    let idsChecksum: UInt64
    let maskChecksum: UInt64
    /// Targets that count in the first 48 windows of 1024.
    let scored: Int
  }

  static let goldens = [
    Golden(
      domain: "conversation", tokens: 367_191, idsChecksum: 0xc844_6774_4d65_282e,
      maskChecksum: 0x0d96_a24f_fee0_2d8b, scored: 12106),
    Golden(
      domain: "code", tokens: 88066, idsChecksum: 0x2882_5126_e433_2ee8,
      maskChecksum: 0x3aa6_b1c5_64b5_1840, scored: 33715),
    Golden(
      domain: "math", tokens: 111_919, idsChecksum: 0xf68d_a27f_2192_0f57,
      maskChecksum: 0xf149_a49a_81f0_a3d8, scored: 10507),
  ]

  @Test(arguments: goldens)
  func valStreams(golden: Golden) throws {
    let folder = RealInput.folder
    let model = "\(folder)/dense-32m"
    let tokenizer = try Tokenizer(folder: model)
    let format = try ChatFormat.detect(folder: model, tokenizer: tokenizer)
    #expect(format == .llama3)
    let stream = try TokenStreamBuilder(tokenizer: tokenizer, format: format)
      .stream(files: ["\(folder)/data/\(golden.domain).val.jsonl.zst"])
    #expect(stream.domain == golden.domain)
    #expect(stream.ids.count == golden.tokens)
    #expect(checksum(stream.ids.map(UInt64.init)) == golden.idsChecksum)
    #expect(checksum(stream.lossMask.map(UInt64.init)) == golden.maskChecksum)
    let windows = EvaluationWindows(stream)
    #expect(windows.count == 48)
    #expect(windows.batches(of: 16).map(\.lossTokenCount).reduce(0, +) == golden.scored)
  }

  /// FNV-1a over whole values.
  private func checksum(_ values: [UInt64]) -> UInt64 {
    values.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ $1) &* 0x100_0000_01b3 }
  }

  /// Another kind of text, without chat: what is decoded is what was read.
  @Test func wikiTextSurvives() throws {
    let folder = RealInput.folder
    let tokenizer = try Tokenizer(folder: "\(folder)/dense-32m")
    let reader = try RecordReader(path: "\(folder)/data/wikitext2.test.txt.zst")
    guard case .text(let text)? = try reader.next() else {
      Issue.record("not a text")
      return
    }
    let ids = tokenizer.encode(text, addSpecialTokens: false)
    #expect(Array(tokenizer.decode(ids, skipSpecial: false).utf8) == Array(text.utf8))
    #expect(try reader.next() == nil)
  }
}
