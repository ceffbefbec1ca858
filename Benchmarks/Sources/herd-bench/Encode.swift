import ArgumentParser
import Formats

/// Tokenizer encoding of a text file, line by line on one thread, as the peer script does it.
struct Encode: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Tokenizer speed on real text.")
  @Argument var folder: String
  @Argument var text: String
  @Option var rounds = 3

  func run() throws {
    let tokenizer = try Tokenizer(folder: folder)
    let bytes = try Files.read(text, maximumBytes: 1 << 30)
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
    var tokens = 0
    var best = Double.infinity
    for _ in 0..<rounds {
      tokens = 0
      best = min(
        best,
        timed {
          for line in lines { tokens += tokenizer.encode(line, addSpecialTokens: false).count }
        })
    }
    report(
      "encode",
      ["tokens": Double(tokens), "megabytes_per_second": Double(bytes.count) / best / 1e6])
  }
}
